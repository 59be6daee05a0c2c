/* The links between gateways and broker are cut again and again, also in the middle of a batch,
 * while the processes at both ends live. */
import { join } from 'node:path';

import { atEnd } from '../cleanup.mjs';
import { now, pass } from '../clock.mjs';
import { LinkProxy } from '../link_proxy.mjs';
import { counts, latency } from '../report.mjs';
import { underLoad } from '../scenario.mjs';

const PAUSE_MIN_MS = 300;
const PAUSE_MAX_MS = 1500;
const BATCH_BYTES = 20000;

export const scenario = {
    name: 'cut-links',
    about: 'links between broker and gateways cut at random, also mid-batch',
    seconds: 30,
    gateways: 2,
    async run(report, options) {
        let proxies;
        const prepare = async (set) => (proxies = await interpose(set));
        const result = await underLoad({ report, options, prepare }, async (set, load) => {
            const from = now();
            await cutAtRandom(proxies, from + options.seconds * 1000);
            await set.allServe();
            return async () => {
                const cuts = proxies.reduce((sum, proxy) => sum + proxy.cuts, 0);
                report.figure('cuts', `${cuts}`);
                report.gap('longest gap', await load.longestGap({ from }));
                report.figure('latency', latency(await load.latency({ from })));
            };
        });
        report.nobodyDropped(result);
        const { unconfirmed, unavailable, ...others } = result.errors;
        const isClean = Object.keys(others).length === 0;
        report.promise('no error but unconfirmed, unavailable', isClean, counts(others));
    },
};

/* A proxy in front of each gateway, and gateways that have found it. */
async function interpose(set) {
    const proxies = [];
    for (let slot = 0; slot < set.count; slot++) {
        const proxy = await LinkProxy.start(join(set.dir, 'link', `slot-${slot}.ipc`));
        atEnd(() => proxy.close());
        proxies.push(proxy);
        const pid = set.signal(slot, 'SIGTERM');
        await set.successorOf(slot, pid);
        await set.allServe();
    }
    return proxies;
}

async function cutAtRandom(proxies, until) {
    while (now() < until) {
        const proxy = proxies[Math.floor(Math.random() * proxies.length)];
        if (Math.random() < 0.5) {
            proxy.cut();
        } else {
            proxy.cutAfter(1 + Math.floor(Math.random() * BATCH_BYTES));
        }
        await pass(PAUSE_MIN_MS + Math.random() * (PAUSE_MAX_MS - PAUSE_MIN_MS));
    }
}
