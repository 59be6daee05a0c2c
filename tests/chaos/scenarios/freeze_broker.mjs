/* The broker stands still for longer than a message may wait, and goes on. */
import { now, pass } from '../clock.mjs';
import { ms } from '../report.mjs';
import { CALM_MS, underLoad } from '../scenario.mjs';

const BACK_WITHIN_MS = 2000;

export const scenario = {
    name: 'freeze-broker',
    about: 'the broker stopped (SIGSTOP), then continued',
    seconds: 12,
    gateways: 2,
    async run(report, options) {
        const result = await underLoad({ report, options }, async (set, load) => {
            const from = now();
            set.signal('broker', 'SIGSTOP');
            await pass(options.seconds * 1000);
            set.signal('broker', 'SIGCONT');
            const thawedAt = now();
            await pass(2 * CALM_MS);
            return async () => {
                const gap = await load.longestGap({ from });
                report.gap('longest gap', gap);
                const took = gap.to - thawedAt;
                const isQuick = took < BACK_WITHIN_MS;
                report.figure('back after SIGCONT', ms(took));
                report.promise(`back within ${ms(BACK_WITHIN_MS)}`, isQuick, ms(took));
            };
        });
        report.nobodyDropped(result);
    },
};
