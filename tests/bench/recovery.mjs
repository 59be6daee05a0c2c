/* How long a broker takes until it routes again, by the number of sessions: build/bin/recovery. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { binDir } from '../e2e/environment.mjs';
import { spread } from './statistics.mjs';

const SESSIONS = [10000, 50000, 100000, 200000, 500000, 1000000];
const SESSIONS_QUICK = [10000, 50000];
export const SESSIONS_A_GATEWAY = 19500;

/* Lines of "start, to link ms, whole ms, total ms, broker kB". */
export function parseRecovery(text) {
    const rows = text
        .split('\n')
        .map((line) => line.trim().split(/\s+/).map(Number))
        .filter((row) => row.length === 5 && row.every(Number.isFinite));
    const column = (i, factor = 1) => spread(rows.map((row) => row[i] * factor));
    return { linkMs: column(1), attachMs: column(2), totalMs: column(3), bytes: column(4, 1024) };
}

export async function measureRecovery({ isQuick }, say) {
    const points = [];
    for (const sessions of isQuick ? SESSIONS_QUICK : SESSIONS) {
        const gateways = Math.max(2, Math.ceil(sessions / SESSIONS_A_GATEWAY));
        const args = [join(binDir, 'switchboard-broker'), sessions, gateways].map(String);
        const { stdout } = await promisify(execFile)(join(binDir, 'recovery'), args);
        const figures = parseRecovery(stdout);
        points.push({ sessions, gateways, ...figures });
        say(`${sessions} sessions at ${gateways} gateways`, figures.totalMs);
    }
    return points;
}
