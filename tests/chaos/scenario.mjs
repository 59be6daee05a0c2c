/* What the scenarios have in common: a set, a load on it, and the end of both. */
import { pass } from './clock.mjs';
import { Load } from './load.mjs';
import { SupervisedSet } from './set.mjs';

/* Before anything is done to the set, so that there is something to compare with. */
export const CALM_MS = 3000;

/* Runs `body(set, load)` while messages flow, then ends both and returns the load's result, which
 * has been entered in the report. `prepare(set)` is called before the load begins. */
export async function underLoad({ report, options, prepare, setOptions, loadOptions }, body) {
    const set = await SupervisedSet.start({ gateways: options.gateways, ...setOptions });
    await prepare?.(set);
    const { clients, rate } = options;
    const load = await Load.start({ url: set.url, clients, rate, ...loadOptions });
    await pass(CALM_MS);
    await body(set, load);
    const result = await load.stop();
    report.load(result);
    const reports = set.reports();
    report.promise('no report in the logs', reports.length === 0, reports[0]);
    await set.stop();
    return result;
}
