/* An hour's churn compressed: connections opened and closed, then messages, again and again; what
 * the processes have in memory must be after the last tenth what it was after the first. */
import { pass } from '../chaos/clock.mjs';
import { residentBytes } from '../chaos/processes.mjs';
import { generate } from './generator.mjs';
import { withServer } from './rounds.mjs';
import { number } from './tables.mjs';

const CONNECTS = 1000000;
const MESSAGES = 50000000;
const PARTS = 10;
const GROWTH_MAX = 0.02;
const SLICE_MAX_S = 30;
/* Longer than a delivery is remembered for repeats (--outcome-timeout-ms) and a user held, and then
 * two looks of the process that finds itself at rest and gives back what is free. */
const SETTLE_MS = 20000;
const CHURN = { churn: true, 'connect-rate': 100000, 'source-addresses': 64 };
const CALLS = { pairs: 100, 'in-flight': 16, together: true };

/* Runs the generator in slices until `count` things have been done, and returns how many were. */
async function untilDone(count, doneIn, run) {
    let done = 0;
    for (let seconds = 1; done < count;) {
        const result = await run(seconds);
        const perS = doneIn(result) / seconds;
        done += doneIn(result);
        seconds = Math.min(Math.max(Math.ceil((count - done) / perS), 1), SLICE_MAX_S);
    }
    return done;
}

async function measurePart(server, scale) {
    const churn = (seconds) => generate(server, { ...CHURN, warmup: 0, seconds });
    const call = (seconds) => generate(server, { ...CALLS, warmup: 0, seconds });
    const handshakesIn = ({ handshakes, seconds }) => handshakes.per_s * seconds;
    const connects = await untilDone((CONNECTS * scale) / PARTS, handshakesIn, churn);
    const messages = await untilDone((MESSAGES * scale) / PARTS, (all) => all.delivered, call);
    await pass(SETTLE_MS);
    const [broker, ...gateways] = server.pids.map(residentBytes);
    return { connects, messages, brokerBytes: broker, gatewaysBytes: gateways };
}

function residentOf({ brokerBytes, gatewaysBytes }) {
    return brokerBytes + gatewaysBytes.reduce((sum, bytes) => sum + bytes, 0);
}

export function growthOf(parts) {
    return residentOf(parts.at(-1)) / residentOf(parts[0]) - 1;
}

export function isLeaking(parts) {
    return growthOf(parts) > GROWTH_MAX;
}

export async function measureLeak({ scale = 1 }, say) {
    return withServer('switchboard', {}, async (server) => {
        const parts = [];
        for (let i = 0; i < PARTS; i++) {
            parts.push(await measurePart(server, scale));
            say(`part ${i + 1} of ${PARTS}: ${number(residentOf(parts[i]) / 1024)} KiB`);
        }
        return parts;
    });
}

export function tableOfLeak(parts) {
    const kib = (bytes) => number(bytes / 1024);
    const table = [
        ['connects and closes', 'messages', 'broker KiB', 'gateways KiB', '× the first'],
    ];
    let [connects, messages] = [0, 0];
    for (const part of parts) {
        connects += part.connects;
        messages += part.messages;
        const counts = [connects, messages].map((count) =>
            Math.round(count).toLocaleString('en-US'),
        );
        const memory = [kib(part.brokerBytes), part.gatewaysBytes.map(kib).join(', ')];
        const ratio = (residentOf(part) / residentOf(parts[0])).toFixed(3);
        table.push([...counts, ...memory, ratio]);
    }
    return table;
}
