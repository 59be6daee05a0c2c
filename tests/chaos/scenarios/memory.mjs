/* Memory under attack: clients that never read, handshakes that are never finished, connections by
 * the thousand that are dropped at once. When they are gone, so is the memory that they took. */
import { openAttackers, Attacker } from '../attackers.mjs';
import { atEnd } from '../cleanup.mjs';
import { eventually, now, pass } from '../clock.mjs';
import { flood } from '../flood.mjs';
import { counts, mib } from '../report.mjs';
import { underLoad } from '../scenario.mjs';

const ATTACKERS = 5000;
const FLOODED = 200; /* of the mute: each takes megabytes of the kernel's memory as well */
const WARM_UP_PART = 10;
/* What remains may be so much more than before: a part, and what allocators keep. */
const REMAINS_MAX = 0.1;
const REMAINS_MAX_BYTES = 4 * 1024 * 1024;
const SAMPLE_MS = 100;
const SETTLE_MAX_MS = 30000;
const HALF_HEAD = 'GET /?userId=half HTTP/1.1\r\nHost: 127';
/* The gateways' own bound for a head is 10 s. */
const HEAD_PATIENCE_MS = 20000;
const DROPS_PER_S = 1000;
const DROP_TICK_MS = 10;

export const scenario = {
    name: 'memory',
    about: 'memory under attack; N is how long connections are dropped',
    seconds: 60,
    gateways: 2,
    rate: 500,
    async run(report, options) {
        await underLoad({ report, options }, async (set) => {
            report.figure('cold', mib(set.residentBytes()));
            await attackMute(set, ATTACKERS / WARM_UP_PART, FLOODED / WARM_UP_PART);
            await attackHalfOpen(set, ATTACKERS / WARM_UP_PART);
            await attackDropped(set, (options.seconds * 1000) / WARM_UP_PART);
            /* What leaves most behind comes last: the others could hide in it. */
            await measure(report, set, `${ATTACKERS} half-open`, () =>
                attackHalfOpen(set, ATTACKERS),
            );
            await measure(report, set, `${DROPS_PER_S} dropped/s`, () =>
                attackDropped(set, options.seconds * 1000),
            );
            const mute = () => attackMute(set, ATTACKERS, FLOODED);
            await measure(report, set, `${ATTACKERS} mute`, mute);
        });
    },
};

async function measure(report, set, name, attack) {
    const before = set.residentBytes();
    let peak = before;
    const sampler = setInterval(() => (peak = Math.max(peak, set.residentBytes())), SAMPLE_MS);
    const found = await attack();
    clearInterval(sampler);
    const limit = before * (1 + REMAINS_MAX) + REMAINS_MAX_BYTES;
    const start = now();
    const hasSettled = () => set.residentBytes() <= limit;
    const options = { patienceMs: SETTLE_MAX_MS, pauseMs: SAMPLE_MS };
    const isWell = await eventually('memory settles', hasSettled, options).catch(() => false);
    const after = set.residentBytes();
    const seconds = ((now() - start) / 1000).toFixed(1);
    const figures = `${mib(before)} before, ${mib(peak)} peak, ${mib(after)} after ${seconds} s`;
    report.figure(name, figures);
    report.figure('  broker, gateways', set.residentBytesEach().map(mib).join(', '));
    report.figure('  outcomes', counts(found));
    const allowed = `${REMAINS_MAX * 100} % and ${mib(REMAINS_MAX_BYTES)}`;
    report.promise(`${name}: within ${allowed} of before`, isWell, figures);
}

/* Clients that never read; each gets a message, some as many as it takes. */
async function attackMute(set, count, flooded) {
    const mute = await openAttackers(set.port, count, (attacker, i) =>
        attacker.handshake(`mute-${i}`),
    );
    const reset = atEnd(() => mute.forEach((attacker) => attacker.reset()));
    await eventually('the mute are in', () => mute.every(({ status }) => status !== null));
    const names = mute.map((_, i) => `mute-${i}`);
    const once = await flood(set.url, 'sprinkler', names, 1);
    const filled = await flood(set.url, 'flooder', names.slice(0, flooded), Infinity);
    await reset();
    return { 'given one: ack': once.ack ?? 0, ...prefixed('filled: ', filled) };
}

function prefixed(prefix, outcomes) {
    return Object.fromEntries(Object.entries(outcomes).map(([name, n]) => [prefix + name, n]));
}

/* Half a request head, then silence, until the server has had enough. */
async function attackHalfOpen(set, count) {
    const half = await openAttackers(set.port, count, (attacker) => attacker.write(HALF_HEAD));
    const reset = atEnd(() => half.forEach((attacker) => attacker.reset()));
    half.forEach(({ socket }) => socket.resume());
    const areOver = () => half.every(({ isOver }) => isOver);
    await eventually('half-open handshakes end', areOver, { patienceMs: HEAD_PATIENCE_MS });
    await reset();
    return { 'ended by the server': half.length };
}

/* Connections that are reset at once, within a head, or right after the handshake. */
async function attackDropped(set, forMs) {
    const start = now();
    let opened = 0;
    while (now() - start < forMs) {
        const due = ((now() - start) * DROPS_PER_S) / 1000;
        for (; opened < due; opened++) {
            dropOne(set, opened);
        }
        await pass(DROP_TICK_MS);
    }
    return { dropped: opened };
}

function dropOne(set, number) {
    const attacker = new Attacker(set.port, number);
    const drop = () => attacker.reset();
    switch (number % 3) {
        case 0:
            attacker.socket.once('connect', drop);
            break;
        case 1:
            attacker.socket.write(HALF_HEAD, drop);
            break;
        default:
            attacker.handshake(`drop-${number}`, false);
            attacker.socket.once('data', drop);
    }
}
