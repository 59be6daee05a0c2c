/* What the figures were measured on, and of what. */
import { execFileSync } from 'node:child_process';
import os from 'node:os';

import { root } from '../e2e/environment.mjs';

function git(...args) {
    try {
        return execFileSync('git', ['-C', root, ...args], { encoding: 'utf8' }).trim();
    } catch {
        return ''; /* not a checkout */
    }
}

/* The commit; with a "+" behind it when the programs may differ from it. */
export function commit() {
    const changed = git('status', '--porcelain', '--', 'broker', 'common', 'gateway', 'tests/load');
    return `${git('rev-parse', '--short', 'HEAD') || 'unknown'}${changed ? '+' : ''}`;
}

export function machine() {
    const cpus = os.cpus();
    return {
        cores: cpus.length,
        processor: cpus[0].model.trim(),
        kernel: os.release(),
        memoryGib: Math.round(os.totalmem() / 2 ** 30),
        node: process.version,
    };
}
