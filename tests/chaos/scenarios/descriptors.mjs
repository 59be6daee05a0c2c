/* The gateways run out of descriptors: who is connected stays, who comes has to wait or is told so,
 * and nothing spins. */
import { execFileSync } from 'node:child_process';

import { openAttackers } from '../attackers.mjs';
import { atEnd } from '../cleanup.mjs';
import { eventually, now, pass } from '../clock.mjs';
import { descriptorCount, statOf } from '../processes.mjs';
import { counts, latency, ms } from '../report.mjs';
import { CALM_MS, underLoad } from '../scenario.mjs';

const SPARE = 50;
const NEWCOMERS = 600;
/* Of one core, beyond what the load takes anyway. */
const SPIN_MAX = 0.25;
const SWITCHING = 101;

export const scenario = {
    name: 'descriptors',
    about: 'the gateways out of descriptors',
    seconds: 10,
    gateways: 2,
    async run(report, options) {
        const result = await underLoad({ report, options }, async (set, load) => {
            const gateways = set.pids().slice(1);
            gateways.forEach(limitDescriptors);
            const calm = await cpuShare(gateways, CALM_MS);
            const from = now();
            const newcomers = await arrive(set, NEWCOMERS, 'newcomer');
            const full = await cpuShare(gateways, options.seconds * 1000);
            const to = now();
            report.figure('newcomers', counts(fates(newcomers)));
            const isFull = newcomers.some(({ status }) => status !== SWITCHING);
            report.promise('there were too few descriptors', isFull);
            showCpu(report, calm, full);
            newcomers.forEach((newcomer) => newcomer.reset());
            await recover(report, set);
            return async () => {
                report.figure('latency meanwhile', latency(await load.latency({ from, to })));
                report.gap('longest gap', await load.longestGap({ from, to }));
            };
        });
        report.nobodyDropped(result);
        report.noErrors(result);
    },
};

/* The soft limit alone: a successor gets the supervisor's again. */
function limitDescriptors(pid) {
    const limit = descriptorCount(pid) + SPARE;
    execFileSync('prlimit', ['--pid', pid, `--nofile=${limit}:`]);
}

/* What the busiest of them takes of a core during that time. */
async function cpuShare(pids, forMs) {
    const before = pids.map((pid) => statOf(pid).cpuMs);
    await pass(forMs);
    return Math.max(...pids.map((pid, i) => (statOf(pid).cpuMs - before[i]) / forMs));
}

async function arrive(set, count, name) {
    const attackers = await openAttackers(set.port, count, (attacker, i) =>
        attacker.handshake(`${name}-${i}`),
    );
    atEnd(() => attackers.forEach((attacker) => attacker.reset()));
    return attackers;
}

function fates(newcomers) {
    const found = {};
    for (const { status, isOver } of newcomers) {
        const fate = status ?? (isOver ? 'closed' : 'waiting');
        found[fate] = (found[fate] ?? 0) + 1;
    }
    return found;
}

function showCpu(report, calm, full) {
    const percent = (share) => `${Math.round(share * 100)} %`;
    const figures = `${percent(calm)} of a core before, ${percent(full)} meanwhile`;
    report.figure('busiest gateway', figures);
    report.promise('no spinning', full - calm < SPIN_MAX, figures);
}

/* Newcomers are let in again. */
async function recover(report, set) {
    const start = now();
    const areIn = async () => {
        const late = await arrive(set, SPARE / 2, 'late');
        const answered = () => late.every(({ status, isOver }) => status !== null || isOver);
        await eventually('an answer', answered, { patienceMs: 10000, pauseMs: 10 });
        late.forEach((attacker) => attacker.reset());
        return late.every(({ status }) => status === SWITCHING);
    };
    await eventually('newcomers are let in again', areIn, { patienceMs: 10000 });
    report.figure('let in again', `after ${ms(now() - start)}`);
}
