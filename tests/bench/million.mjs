/* One million connected users on this machine: as many gateways as their descriptors ask for, each
 * on a port of its own. A sample of them calls, then the broker is killed. */
import { availableBytes, residentBytes } from '../chaos/processes.mjs';
import { now } from '../chaos/clock.mjs';
import { generate, hold } from './generator.mjs';
import { SESSIONS_A_GATEWAY } from './recovery.mjs';
import { withServer } from './rounds.mjs';
import { number } from './tables.mjs';

const USERS = 1000000;
const CALLING_PAIRS = 10000;
/* About what a user takes, with the kernel's part at both ends and the generator's. */
const MEMORY_BYTES = 16000;
const GIB = 2 ** 30;
const POLL_MS = 2000;

function residentOf(programs) {
    return programs.reduce((sum, { pid }) => sum + residentBytes(pid), 0);
}

function memoryOf(set) {
    return { brokerBytes: residentOf([set.broker]), gatewaysBytes: residentOf(set.gateways) };
}

/* Kills the broker, starts the next, and waits until it has told every gateway that the directory is
 * whole. */
async function recover(set) {
    const marks = set.gateways.map((gateway) => gateway.mark());
    const killedAt = now();
    await set.broker.kill();
    await set.startBroker();
    const restartMs = now() - killedAt;
    const ready = await Promise.all(
        set.gateways.map((gateway, slot) =>
            gateway.waitFor(/^info link-up .*sessions=(\d+)/, marks[slot]),
        ),
    );
    const allMs = now() - killedAt;
    const sessions = ready.reduce((sum, [, count]) => sum + Number(count), 0);
    return { restartMs, allMs, sessions };
}

/* One message a second from each pair. */
async function call(server, pairs, { seconds, warmup }) {
    const workers = Math.max(2, Math.ceil((pairs * 2) / SESSIONS_A_GATEWAY));
    const addresses = { workers, 'source-addresses': workers * 2 };
    return generate(server, { pairs, rate: pairs, ...addresses, warmup, seconds });
}

/* On a server that is up: everybody connects, the sample calls, the broker is killed. */
async function putThrough(server, users, before, options, say) {
    const { set } = server;
    const pairs = Math.min(CALLING_PAIRS, Math.floor(users / 4));
    const idle = users - pairs * 2;
    const connectFrom = now();
    await hold(server, idle, { pauseMs: POLL_MS });
    const connectMs = now() - connectFrom;
    say(`${idle} connected in ${number(connectMs / 1000)} s`);
    const calls = await call(server, pairs, options);
    say(`${pairs} pairs call: ${number(calls.server.cpu_us_per_message)} µs a message`);
    /* In the place of those who called. */
    await hold(server, pairs * 2, { others: idle, firstUser: idle, pauseMs: POLL_MS });
    const full = memoryOf(set);
    const inAllBytes = before - availableBytes();
    say(`${users} connected, ${number(inAllBytes / GIB)} GiB in all`);
    const recovery = await recover(set);
    say(`${recovery.sessions} sessions recovered in ${number(recovery.allMs)} ms`);
    if (recovery.sessions !== users) {
        throw new Error('sessions were lost');
    }
    return {
        connectMs,
        pairs,
        cpuUs: calls.server.cpu_us_per_message,
        perS: calls.per_s,
        p50Us: calls.latency_us.p50,
        p99Us: calls.latency_us.p99,
        full,
        inAllBytes,
        recovery,
        recovered: memoryOf(set),
    };
}

export async function measureMillion({ users = USERS, ...options }, say) {
    const gateways = Math.ceil(users / SESSIONS_A_GATEWAY);
    const before = availableBytes();
    if (before < MEMORY_BYTES * users) {
        say(`only ${number(before / GIB)} GiB are free: it may not fit`);
    }
    const setOptions = { gateways, samePort: false };
    const found = await withServer('switchboard', setOptions, (server) =>
        putThrough(server, users, before, options, say),
    );
    return { users, gateways, ...found };
}

export function tableOfMillion(result) {
    const { users, gateways, pairs, full, inAllBytes, recovery } = result;
    const count = (value) => value.toLocaleString('en-US');
    const each = (bytes) => `${number(bytes / GIB)} GiB, ${number(bytes / users)} bytes a user`;
    const latency = `p50 ${number(result.p50Us)} µs, p99 ${number(result.p99Us)} µs`;
    return [
        ['what', 'figure'],
        ['connected users', `${count(users)} at ${gateways} gateways`],
        ['connected in', `${number(result.connectMs / 1000)} s`],
        [
            `${count(pairs)} pairs calling`,
            `${count(Math.round(result.perS))} messages/s, ${latency}`,
        ],
        ['CPU of all server processes a message', `${number(result.cpuUs)} µs`],
        ['resident memory of the broker', each(full.brokerBytes)],
        ['resident memory of all gateways', each(full.gatewaysBytes)],
        ['all memory, with the kernel and the generator', each(inAllBytes)],
        ['broker killed, until a new one listens', `${number(recovery.restartMs)} ms`],
        ['the same, until every session is attached again', `${number(recovery.allMs)} ms`],
        ['resident memory of the broker afterwards', each(result.recovered.brokerBytes)],
    ];
}
