/* Clients' connections are reset at random while messages flow in both directions. */
import { now, pass } from '../clock.mjs';
import { latency } from '../report.mjs';
import { underLoad } from '../scenario.mjs';

export const RESET_EVERY_MS = 50;

export const scenario = {
    name: 'reset-clients',
    about: 'clients reset (RST) at random, 20 a second',
    seconds: 30,
    gateways: 2,
    async run(report, options) {
        const result = await underLoad({ report, options }, async (set, load) => {
            const from = now();
            await load.startResets(RESET_EVERY_MS);
            await pass(options.seconds * 1000);
            await load.stopResets();
            await load.allConnected();
            return async () => {
                report.gap('longest gap', await load.longestGap({ from }));
                report.figure('latency', latency(await load.latency({ from })));
            };
        });
        onlyResets(report, result);
    },
};

export function onlyResets(report, { dropped }) {
    const others = Object.keys(dropped).filter((code) => code !== 'reset by us');
    report.promise('dropped by our resets alone', others.length === 0, others.join(', '));
}
