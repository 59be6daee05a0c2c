/* The gateways are killed in turn: their clients come back to whichever takes them. */
import { now, repeatedly } from '../clock.mjs';
import { killGateway, spread } from '../faults.mjs';
import { latency } from '../report.mjs';
import { underLoad } from '../scenario.mjs';

const KILL_EVERY_MS = 5000;

export const scenario = {
    name: 'gateway-kill',
    about: 'the gateways killed in turn, one every 5 s',
    seconds: 30,
    gateways: 2,
    async run(report, options) {
        const result = await underLoad({ report, options }, async (set, load) => {
            const outages = [];
            const from = now();
            await repeatedly(KILL_EVERY_MS, options.seconds * 1000, async (round) => {
                outages.push(await killGateway(set, load, round % set.count));
            });
            return async () => {
                const back = outages.map(({ killedAt, connectedAt }) => connectedAt - killedAt);
                report.figure('gateways killed', `${outages.length} times`);
                report.gap('longest gap', await load.longestGap({ from }));
                report.figure('all clients back', spread(back));
                report.figure('latency', latency(await load.latency({ from })));
            };
        });
        const others = Object.keys(result.dropped).filter((code) => code !== '1006');
        report.promise('dropped by the kills alone', others.length === 0, others.join(', '));
    },
};
