/* The disk with the run directory fills up: the set keeps serving, and what dies comes back. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { atEnd } from '../cleanup.mjs';
import { now, pass } from '../clock.mjs';
import { killGateway, spread } from '../faults.mjs';
import { underLoad } from '../scenario.mjs';

const DISK = '1m';
/* A pause that a gateway's death can explain. */
const STILL_SERVES_MS = 1000;
const CHUNK = Buffer.alloc(4096);

export const scenario = {
    name: 'disk-full',
    about: 'the run directory on a disk that fills up; processes killed meanwhile',
    seconds: 20,
    gateways: 2,
    async run(report, options) {
        const dir = mkdtempSync(join(tmpdir(), 'sb-'));
        try {
            execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', dir]);
        } catch (error) {
            rmdirSync(dir);
            report.skip(`a tmpfs cannot be mounted here: ${error.message.trim()}`);
            return;
        }
        const unmount = atEnd(() => {
            execFileSync('umount', [dir]);
            rmdirSync(dir);
        });
        await underLoad({ report, options, setOptions: { dir } }, async (set, load) => {
            const moments = await whileFull(report, options, set, load);
            return async () => show(report, load, moments);
        });
        await unmount();
    },
};

async function whileFull(report, options, set, load) {
    const filler = join(set.dir, 'filler');
    fill(filler);
    const from = now();
    await pass((options.seconds * 1000) / 4);
    const outage = await killGateway(set, load, 0);
    report.figure('a gateway, killed', `all clients back: ${spread([backMs(outage)])}`);
    const pid = set.signal('broker', 'SIGKILL');
    const killedAt = now();
    await set.successorOf('broker', pid);
    await set.allServe();
    await pass((options.seconds * 1000) / 2);
    rmSync(filler);
    await pass((options.seconds * 1000) / 4);
    return { from, killedAt };
}

async function show(report, load, { from, killedAt }) {
    const full = await load.longestGap({ from, to: killedAt });
    report.gap('longest gap, full', full);
    report.promise('serves while full', full.ms < STILL_SERVES_MS, `${Math.round(full.ms)} ms`);
    report.gap('longest gap, broker', await load.longestGap({ from: killedAt }));
}

function backMs({ killedAt, connectedAt }) {
    return connectedAt - killedAt;
}

function fill(path) {
    for (;;) {
        try {
            appendFileSync(path, CHUNK);
        } catch (error) {
            if (error.code === 'ENOSPC') {
                return;
            }
            throw error;
        }
    }
}
