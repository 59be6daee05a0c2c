/* switchboard-load, run against a server. Its checks are always on: a wrong message ends the bench. */
import { text } from 'node:stream/consumers';

import { eventually, pass } from '../chaos/clock.mjs';
import { Program } from '../e2e/harness.mjs';

/* What a process of ours holds besides its connections. */
const DESCRIPTORS_A_WORKER = 19000;
const SOURCE_PORTS = 20000;
const SETTLE_MS = 1500;
const WARM_UP_CONNECTIONS = 100;
const PATIENCE_MS = 120000;
/* For ever, that is until it is stopped. */
const HOLD_S = 100000;

function flagsFor(server, flags) {
    return {
        target: server.targets,
        dialect: server.dialect,
        'server-pid': server.pids,
        json: true,
        /* What the server refuses is a figure, not a failure. */
        'allow-errors': true,
        ...flags,
    };
}

function wrongIn(result) {
    return Object.entries(result.wrong).filter(([, count]) => count > 0);
}

/* Runs it to its end and returns what it says. */
export async function generate(server, flags) {
    const load = new Program('switchboard-load', flagsFor(server, flags), { output: 'pipe' });
    const seconds = (flags.seconds ?? 0) + (flags.warmup ?? 0);
    const timer = setTimeout(() => load.signal('SIGTERM'), seconds * 1000 + PATIENCE_MS);
    const output = await text(load.child.stdout);
    const { status } = await load.ended.finally(() => clearTimeout(timer));
    const result = output.trim() === '' ? null : JSON.parse(output);
    if (status !== 0 || !result || wrongIn(result).length > 0) {
        const wrong = result ? JSON.stringify({ wrong: result.wrong, errors: result.errors }) : '';
        throw new Error(
            `${server.name}: switchboard-load ended with ${status} ${wrong}\n${load.log()}`,
        );
    }
    return result;
}

/* Connections that do nothing, as guests of the server. Resolves when it has all of them; `others`:
 * how many of such it has already. */
export async function hold(server, count, { others = 0, firstUser = 0, pauseMs = 250 } = {}) {
    const { 'server-pid': _, ...flags } = flagsFor(server, {
        'connect-only': count,
        hold: HOLD_S,
        workers: Math.ceil(count / DESCRIPTORS_A_WORKER),
        'source-addresses': Math.ceil(count / SOURCE_PORTS),
        'user-prefix': 'idle',
        'first-user': firstUser,
    });
    const holder = new Program('switchboard-load', flags, { output: 'ignore' });
    server.guests.push(holder);
    const areIn = () => {
        if (!holder.isRunning) {
            throw new Error(`${server.name}: the holder of connections ended\n${holder.log()}`);
        }
        return server.connections() >= others + count;
    };
    const patienceMs = PATIENCE_MS + count;
    await eventually(`${server.name}: ${count} connections`, areIn, { patienceMs, pauseMs });
    await pass(SETTLE_MS);
}

/* A few connections that come and go: what a process needs but once, it has afterwards. */
export async function warmUp(server) {
    await hold(server, WARM_UP_CONNECTIONS);
    await server.dismiss();
    await eventually(`${server.name}: nobody is connected`, () => server.connections() <= 0);
    await pass(SETTLE_MS);
}
