/* The kinds of measurement that one fresh server is put to. Each answers figures; a figure that ends
 * in Us is microseconds. */
import { pass } from '../chaos/clock.mjs';
import { proportionalBytes, statOf } from '../chaos/processes.mjs';
import { generate, hold, warmUp } from './generator.mjs';

/* So much CPU goes by in jiffies of 10 ms that an idle server needs a long look. */
const IDLE_MIN_S = 30;

function total(object = {}) {
    return Object.values(object).reduce((sum, count) => sum + count, 0);
}

export function figuresOf(result) {
    const { server, latency_us: latency } = result;
    return {
        cpuUs: server.cpu_us_per_message,
        switches: server.switches_per_message,
        perS: result.per_s,
        p50Us: latency.p50,
        p99Us: latency.p99,
        p999Us: latency.p999,
        maxUs: latency.max,
        lagP99Us: result.lag_us?.p99,
        generatorCpuUs: result.generator.cpu_us_per_message,
        errors: total(result.errors),
    };
}

export function memoryOf(server) {
    return server.pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0);
}

function cpuMsOf(server) {
    return server.pids.reduce((sum, pid) => sum + statOf(pid).cpuMs, 0);
}

/* Messages, with these flags of the generator. */
export function load(flags) {
    return async (server, { seconds, warmup }) =>
        figuresOf(await generate(server, { ...flags, warmup, seconds }));
}

/* Connections that do nothing: memory of each, over all processes, and what they cost. */
export function idle(count) {
    return async (server, { seconds, isQuick }) => {
        await warmUp(server);
        const before = memoryOf(server);
        await hold(server, count);
        const bytes = (memoryOf(server) - before) / count;
        const cpuMs = cpuMsOf(server);
        const watchS = isQuick ? seconds : Math.max(seconds, IDLE_MIN_S);
        await pass(watchS * 1000);
        const spentUs = (cpuMsOf(server) - cpuMs) * 1000;
        return { bytes, idleCpuUs: spentUs / watchS / count };
    };
}

/* Connections opened and closed without pause. */
export function handshakes(flags) {
    return async (server, { seconds, warmup }) => {
        const result = await generate(server, { churn: true, ...flags, warmup, seconds });
        return { cpuUs: result.server.cpu_us_per_handshake, perS: result.handshakes.per_s };
    };
}

/* The same load twice, alone and beside a pair that sends without pause. */
export function fairness(flags) {
    return async (server, { seconds, warmup }) => {
        const alone = await generate(server, { ...flags, warmup, seconds });
        const beside = await generate(server, { ...flags, 'flood-pairs': 1, warmup, seconds });
        return {
            p99Us: alone.latency_us.p99,
            p99FloodedUs: beside.latency_us.p99,
            factor: beside.latency_us.p99 / alone.latency_us.p99,
            floodPerS: beside.flood?.per_s,
        };
    };
}
