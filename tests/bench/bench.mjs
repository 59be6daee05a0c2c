/* Switchboard, the yardstick and the peers under the same loads. scripts/bench starts it, and says how
 * it is used. */
import { parseArgs } from 'node:util';

import { growthOf, isLeaking, measureLeak, tableOfLeak } from './leak.mjs';
import { commit, machine } from './machine.mjs';
import { measureMillion, tableOfMillion } from './million.mjs';
import { write } from './results.mjs';
import { measure } from './rounds.mjs';
import { ROWS } from './rows.mjs';
import { findPeers, titleOf, versionsOf } from './servers.mjs';
import { asText, number, spreadText, tableOf, verdictsOf } from './tables.mjs';

const QUICK = { repeats: 1, seconds: 1, warmup: 0.5, isQuick: true };

class UsageError extends Error {}

function numberOf(name, text, fallback) {
    const value = text === undefined ? fallback : Number(text);
    if (!(value > 0)) {
        throw new UsageError(`--${name}: "${text}" will not do`);
    }
    return value;
}

function chosen(names) {
    return names.map((name) => {
        const found = ROWS.find((row) => row.name === name);
        if (!found) {
            throw new UsageError(`no row "${name}"`);
        }
        return found;
    });
}

function parse(args) {
    const text = { type: 'string' };
    const flag = { type: 'boolean', default: false };
    const texts = { repeats: text, seconds: text, users: text, scale: text };
    const flags = { quick: flag, peers: flag, write: flag };
    const { values, positionals } = parseArgs({
        args,
        allowPositionals: true,
        options: { ...texts, ...flags },
    });
    const options = {
        repeats: numberOf('repeats', values.repeats, 5),
        seconds: numberOf('seconds', values.seconds, 5),
        warmup: 1,
        users: numberOf('users', values.users, 1000000),
        scale: numberOf('scale', values.scale, 1),
        ...(values.quick && QUICK),
    };
    return { names: positionals, options, isWriting: values.write, withPeers: values.peers };
}

function say(what, value) {
    console.error(`    ${what}${value === undefined ? '' : `: ${value}`}`);
}

/* What a run is called and what it found, as it goes. */
function progress(what, found) {
    if (found?.median !== undefined) {
        say(what, `${spreadText(found)} ms`);
    } else {
        const [[name, value]] = Object.entries(found);
        say(what, `${name} ${number(value)}`);
    }
}

async function measureCases(row, subjects, options) {
    const repeats = Math.min(options.repeats, row.repeatsMax ?? Infinity);
    const result = {};
    for (const [key, one] of Object.entries(row.cases)) {
        const tell = (server, figures) =>
            progress(row.by ? `${key} ${row.by}, ${titleOf(server)}` : titleOf(server), figures);
        result[key] = await measure(one, subjects, { ...options, repeats }, tell);
    }
    return result;
}

function printVerdicts(row, result) {
    for (const { text, found, isMet } of verdictsOf(row, result)) {
        if (found) {
            console.log(`    target ${text}: ${spreadText(found)}, ${isMet ? 'met' : 'missed'}`);
        }
    }
}

async function measureRow(row, subjects, options) {
    console.log(`\n${row.name}: ${row.title}`);
    const result = row.measure
        ? await row.measure(subjects, options, progress)
        : await measureCases(row, subjects, options);
    console.log(asText(tableOf(row, result)));
    printVerdicts(row, result);
    return result;
}

function about(options, more = {}) {
    const command = ['scripts/bench', ...process.argv.slice(2)].join(' ');
    const date = new Date().toISOString().slice(0, 10);
    const { repeats, seconds } = options;
    return { commit: commit(), date, machine: machine(), command, repeats, seconds, ...more };
}

async function benchRows({ names, options, withPeers }) {
    const rows = names.length === 0 ? ROWS : chosen(names);
    const peers = withPeers ? findPeers() : { found: [], missing: [] };
    peers.missing.forEach((line) => console.log(line));
    const subjects = ['switchboard', ...peers.found];
    const found = {};
    for (const row of rows) {
        const result = await measureRow(row, subjects, options);
        found[row.name] = { ...about(options, { versions: versionsOf(peers.found) }), result };
    }
    return { found, isGood: true };
}

async function benchMillion({ options }) {
    const result = await measureMillion(options, say);
    console.log(asText(tableOfMillion(result)));
    return { found: { million: { ...about(options), result } }, isGood: true };
}

async function benchLeak({ options }) {
    const result = await measureLeak(options, say);
    console.log(asText(tableOfLeak(result)));
    const isGood = !isLeaking(result);
    const percent = (growthOf(result) * 100).toFixed(1);
    console.log(`    grown by ${percent} %: ${isGood ? 'no leak' : 'too much'}`);
    return { found: { leak: { ...about(options), result } }, isGood };
}

const OWN = { million: benchMillion, leak: benchLeak };

async function main() {
    const request = parse(process.argv.slice(2));
    const [first, ...others] = request.names;
    if (OWN[first] && others.length > 0) {
        throw new UsageError(`${first} is a run of its own`);
    }
    const { found, isGood } = await (OWN[first] ?? benchRows)(request);
    if (request.isWriting) {
        write(found);
    }
    process.exit(isGood ? 0 : 1);
}

main().catch((error) => {
    const isUsage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS');
    console.error(isUsage ? `scripts/bench: ${error.message} (see --help)` : error);
    process.exit(isUsage ? 2 : 1);
});
