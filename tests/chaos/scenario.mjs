/* What the scenarios have in common: a set, a load on it, and the end of both. */
import { pass } from './clock.mjs';
import { Load } from './load.mjs';
import { SupervisedSet } from './set.mjs';

/* Before anything is done to the set, so that there is something to compare with. */
export const CALM_MS = 3000;

/* Runs `body(set, load)` while messages flow, then ends both and returns the load's result, which
 * has been entered in the report. `prepare(set)` is called before the load begins. What `body`
 * returns is called when no more is sent: the load reckons up its latencies then, not before, since
 * it would stand still meanwhile. */
export async function underLoad({ report, options, prepare, setOptions, loadOptions }, body) {
    const set = await SupervisedSet.start({ gateways: options.gateways, ...setOptions });
    await prepare?.(set);
    const { clients, rate } = options;
    const load = await Load.start({ url: set.url, clients, rate, ...loadOptions });
    await pass(CALM_MS);
    const conclude = await body(set, load).catch((error) => giveUp(report, set, error));
    const result = await load.finish();
    await conclude?.();
    report.load(result);
    await load.end();
    const reports = set.reports();
    report.promise('no report in the logs', reports.length === 0, reports[0]);
    await set.stop();
    return result;
}

/* The set did not do what was awaited. What came of the messages is worth knowing all the same. */
function giveUp(report, set, error) {
    console.error(set.lastWords().join('\n'));
    report.promise('the set recovers', false, error.message);
}
