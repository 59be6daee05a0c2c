/* One gateway stands still for a while: between users of the others it is as if nothing were, and
 * whoever writes to its users is told. */
import { now, pass } from '../clock.mjs';
import { latency, ms } from '../report.mjs';
import { CALM_MS, underLoad } from '../scenario.mjs';

const SLOWER_MAX = 2;
/* Below this, twice as much is noise of the machine. */
const NOISE_MS = 5;

export const scenario = {
    name: 'freeze-gateway',
    about: 'one gateway stopped (SIGSTOP), then continued',
    seconds: 15,
    gateways: 3,
    async run(report, options) {
        const result = await underLoad({ report, options }, async (set, load) => {
            const instances = await set.allServe();
            await load.setApart(instances[0]);
            const calmAt = now();
            await pass(2 * CALM_MS);
            const frozenAt = now();
            await load.freeze(instances[0]);
            set.signal(0, 'SIGSTOP');
            await pass(options.seconds * 1000);
            set.signal(0, 'SIGCONT');
            await load.thaw(instances[0]);
            const thawedAt = now();
            await set.allServe();
            await pass(CALM_MS);
            return async () => compare(report, load, { calmAt, frozenAt, thawedAt });
        });
        const { unconfirmed = 0, unavailable = 0, ...others } = result.errors;
        report.figure('told so', `${unconfirmed + unavailable} unconfirmed or unavailable`);
        const codes = Object.keys(others).filter((code) => code !== 'overloaded');
        report.promise('nobody called offline', codes.length === 0, codes.join(', '));
    },
};

async function compare(report, load, { calmAt, frozenAt, thawedAt }) {
    const apartOnly = true;
    const calm = await load.latency({ from: calmAt, to: frozenAt, apartOnly });
    const frozen = await load.latency({ from: frozenAt, to: thawedAt, apartOnly });
    const after = await load.latency({ from: thawedAt, apartOnly });
    report.figure('others, before', latency(calm));
    report.figure('others, meanwhile', latency(frozen));
    report.figure('others, after', latency(after));
    const limit = Math.max(SLOWER_MAX * calm.p99, NOISE_MS);
    report.gap('longest gap', await load.longestGap({ from: calmAt }));
    report.promise(
        `others' p99 within ${SLOWER_MAX}x (or ${NOISE_MS} ms)`,
        frozen.p99 <= limit,
        `${ms(frozen.p99)} instead of ${ms(calm.p99)}`,
    );
}
