/* What a call costs that the server keeps, as a multiple of its sixteen messages without a callId,
 * and what a standing call takes in memory. */
import { text } from 'node:stream/consumers';

import { Program } from '../e2e/harness.mjs';
import { withServer } from './rounds.mjs';
import { spread } from './statistics.mjs';

const PAIRS = 100;
const STANDING = 20000;
const STANDING_QUICK = 2000;
/* Calls of a user at a time, below the bound of 16. */
const CALLS_A_USER = 10;
const MS_PER_S = 1000;
/* The parties of a call are on different gateways. */
const SERVER = { gateways: 2, samePort: false };

async function generate(server, flags) {
    const load = new Program(
        'switchboard-calls',
        { targets: server.targets.join(','), 'server-pids': server.pids.join(','), ...flags },
        { output: 'pipe' },
    );
    const output = await text(load.child.stdout);
    const { status } = await load.ended;
    if (status !== 0) {
        throw new Error(`switchboard-calls ended with ${status}\n${load.log()}`);
    }
    return JSON.parse(output);
}

/* A kept call between two that are not, so that what the machine does meanwhile happens to both. */
async function measureCost({ seconds, warmup }, say) {
    return withServer('switchboard', SERVER, async (server) => {
        const run = async (managed) => {
            const times = { 'warmup-ms': warmup * MS_PER_S, 'window-ms': seconds * MS_PER_S };
            const found = await generate(server, { managed, pairs: PAIRS, ...times });
            const cpuUs = found.cpu_us_per_call;
            say(managed === 1 ? 'kept' : 'plain', { cpuUs });
            return { cpuUs, perS: found.per_s };
        };
        const [before, kept, after] = [await run(0), await run(1), await run(0)];
        const plainUs = (before.cpuUs + after.cpuUs) / 2;
        return { keptUs: kept.cpuUs, plainUs, ratio: kept.cpuUs / plainUs, perS: kept.perS };
    });
}

async function measureMemory({ isQuick, warmup }, say) {
    const standing = isQuick ? STANDING_QUICK : STANDING;
    return withServer('switchboard', SERVER, async (server) => {
        const { bytes } = await generate(server, {
            standing,
            pairs: Math.ceil(standing / CALLS_A_USER),
            'warmup-ms': warmup * MS_PER_S,
        });
        const [broker, ...gateways] = bytes;
        const sum = gateways.reduce((total, each) => total + each, 0);
        say(`${standing} standing calls`, { bytes: broker });
        return { bytes: broker, gatewaysBytes: sum };
    });
}

/* { [figure]: spread }: keptUs, plainUs, ratio, perS; bytes of the broker for a standing call, and
 * gatewaysBytes of all gateways. */
export async function measureCalls(options, say) {
    const rounds = [];
    for (let i = 0; i < options.repeats; i++) {
        rounds.push({ ...(await measureCost(options, say)), ...(await measureMemory(options, say)) });
    }
    const figures = Object.keys(rounds[0]);
    return Object.fromEntries(
        figures.map((figure) => [figure, spread(rounds.map((round) => round[figure]))]),
    );
}
