/* What has been measured so far, in docs/bench/results.json: a run of some rows leaves the others as
 * they were, and BENCHMARKS.md and its charts are made of all of them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from '../e2e/environment.mjs';
import { documentOf } from './document.mjs';
import { plotsOf } from './plots.mjs';

const dir = join(root, 'docs', 'bench');
const file = join(dir, 'results.json');

function read() {
    try {
        return JSON.parse(readFileSync(file, 'utf8'));
    } catch (error) {
        if (error.code !== 'ENOENT') {
            throw error;
        }
        return {};
    }
}

/* Five digits are more than any figure is worth. */
function shortened(key, value) {
    return typeof value === 'number' ? Number(value.toPrecision(5)) : value;
}

/* A spread on one line. */
function textOf(results) {
    const text = JSON.stringify(results, shortened, 1);
    return `${text.replace(/\{\s+("median"[^{}]*)\}/g, (_, own) => `{ ${own.replace(/\s+/g, ' ')}}`)}\n`;
}

/* `found`: { [row]: { commit, date, machine, ..., result } } */
export function write(found) {
    const results = { ...read(), ...found };
    mkdirSync(dir, { recursive: true });
    writeFileSync(file, textOf(results));
    for (const [name, svg] of Object.entries(plotsOf(results))) {
        writeFileSync(join(dir, name), svg);
    }
    writeFileSync(join(root, 'BENCHMARKS.md'), documentOf(results));
}
