/* The broker is killed again and again: gateways keep their clients, and messages wait. */
import { repeatedly } from '../clock.mjs';
import { killBroker, showBrokerOutages, watchLogs } from '../faults.mjs';
import { latency } from '../report.mjs';
import { underLoad } from '../scenario.mjs';

/* Not sooner: what dies within a second of its start is, to the supervisor, another matter. */
export const KILL_EVERY_MS = 3000;

/* What was sent so shortly before a kill was hit by it. */
const UNDER_WAY_MS = 50;

export const scenario = {
    name: 'broker-kill',
    about: 'the broker killed every 3 s',
    seconds: 60,
    gateways: 2,
    async run(report, options) {
        const result = await underLoad({ report, options }, async (set, load) => {
            const logs = watchLogs(set);
            const outages = [];
            await repeatedly(KILL_EVERY_MS, options.seconds * 1000, async () => {
                outages.push(await killBroker(set, logs));
            });
            return async () => showOutages(report, load, outages);
        });
        report.nobodyDropped(result);
        report.noErrors(result);
    },
};

async function showOutages(report, load, outages) {
    const windows = outages.map(({ killedAt, linkedAt }) => ({
        from: killedAt - UNDER_WAY_MS,
        to: linkedAt,
    }));
    const gaps = [];
    for (const window of windows) {
        gaps.push(await load.longestGap(window));
    }
    showBrokerOutages(report, outages, gaps);
    report.figure('latency between', latency(await load.latencyOutside(windows)));
}
