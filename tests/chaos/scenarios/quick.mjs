/* A little of everything on one set, for every run of the tests. */
import { pass, repeatedly } from '../clock.mjs';
import { killBroker, killGateway, showBrokerOutages, spread, watchLogs } from '../faults.mjs';
import { underLoad } from '../scenario.mjs';
import { KILL_EVERY_MS } from './broker_kill.mjs';
import { RESET_EVERY_MS } from './reset_clients.mjs';

const KILLS = 3;
const RESET_FOR_MS = 4000;

export const scenario = {
    name: 'quick',
    about: 'the broker killed 3 times, a gateway once, clients reset',
    seconds: 15,
    gateways: 2,
    rate: 500,
    async run(report, options) {
        const quick = { ...options, clients: 40 };
        await underLoad({ report, options: quick }, async (set, load) => {
            const logs = watchLogs(set);
            const outages = [];
            await repeatedly(KILL_EVERY_MS, KILLS * KILL_EVERY_MS, async () => {
                outages.push(await killBroker(set, logs));
            });
            const { killedAt, connectedAt } = await killGateway(set, load, 0);
            report.figure('gateway killed', `all back: ${spread([connectedAt - killedAt])}`);
            await load.startResets(RESET_EVERY_MS);
            await pass(RESET_FOR_MS);
            await load.stopResets();
            await load.allConnected();
            return async () => showBrokers(report, load, outages);
        });
    },
};

async function showBrokers(report, load, outages) {
    const gaps = [];
    for (const { killedAt, linkedAt } of outages) {
        gaps.push(await load.longestGap({ from: killedAt, to: linkedAt }));
    }
    showBrokerOutages(report, outages, gaps);
}
