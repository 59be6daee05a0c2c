/* scripts/rolling-restart while messages flow, until the time is over, but at least once. */
import { script } from '../../e2e/supervised.mjs';
import { now, pass } from '../clock.mjs';
import { spread } from '../faults.mjs';
import { latency } from '../report.mjs';
import { CALM_MS, underLoad } from '../scenario.mjs';

export const scenario = {
    name: 'rolling-restart',
    about: 'scripts/rolling-restart, again and again',
    seconds: 30,
    gateways: 2,
    async run(report, options) {
        const result = await underLoad({ report, options }, async (set, load) => {
            const from = now();
            const took = [];
            while (took.length === 0 || now() - from < options.seconds * 1000) {
                took.push(await restart(report, set));
                await load.allConnected();
                await pass(CALM_MS);
            }
            return async () => {
                report.figure('restarts', `${took.length}, ${spread(took)}`);
                report.gap('longest gap', await load.longestGap({ from }));
                report.figure('latency', latency(await load.latency({ from })));
            };
        });
        const others = Object.keys(result.dropped).filter((code) => code !== '1001');
        report.promise('dropped with 1001 alone', others.length === 0, others.join(', '));
    },
};

async function restart(report, set) {
    const before = set.pids();
    const start = now();
    const { status, output } = await script('rolling-restart', '--run-dir', set.dir);
    const after = set.pids();
    const isNew = after.length === before.length && !after.some((pid) => before.includes(pid));
    const name = 'rolling-restart replaces every process';
    report.promise(name, status === 0 && isNew, `status ${status}: ${output.trim()}`);
    return now() - start;
}
