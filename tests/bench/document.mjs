/* BENCHMARKS.md, made of the results. */
import { tableOfLeak } from './leak.mjs';
import { tableOfMillion } from './million.mjs';
import { plotsOf } from './plots.mjs';
import { ELSEWHERE, ROWS } from './rows.mjs';
import { titleOf } from './servers.mjs';
import { asMarkdown, comparedWith, runsOf, spreadText, tableOf, verdictsOf } from './tables.mjs';

const ALTERNATIVES = {
    'cost-by-load.svg': 'CPU for a message by messages a second',
    'latency-by-load.svg': 'Latency by messages a second',
    'cost-by-connections.svg': 'CPU for a message by connected users',
    'memory-by-connections.svg': 'Memory of a connection by connected users',
    'recovery-by-sessions.svg': 'Recovery time by sessions',
};

const INTRODUCTION = `# Benchmarks

Written by \`scripts/bench --write\`; the figures behind it are in
[docs/bench/results.json](docs/bench/results.json).

The measure is the CPU that all server processes together spend on a delivered message. It is given
as a multiple of the **yardstick**'s, the plainest epoll relay there can be (tests/load): it does the
handshake, reads no JSON and sends to a fixed partner, so it costs what the kernel alone costs. It
runs right before and right after each other server, so that what else the machine does meanwhile
happens to both. Switchboard is a broker and two gateways unless a table says otherwise; every other
server is one process. The generator shares the machine with them.

Each message is numbered and checked: one that is lost, doubled, misrouted, out of order, altered or
has a wrong \`from\`, and there are no figures. Cells are medians, with the lowest and the highest
run in brackets. Latencies of open loops count from the intended time of sending; the generator's
own lag stands beside them.
`;

function ranOn({ machine, versions = {} }) {
    const { cores, processor, kernel, memoryGib, node } = machine;
    const peers = Object.entries(versions).map(([name, version]) => `${titleOf(name)} ${version}`);
    const all = [`${cores} cores (${processor})`, `${memoryGib} GiB`, `Linux ${kernel}`];
    return [...all, `Node ${node}`, ...peers].join(', ');
}

function howOf({ commit, date, command }) {
    return `\`${command}\`, commit ${commit}, ${date}`;
}

function machinesOf(results) {
    const lines = new Set(Object.values(results).map(ranOn));
    return ['## Machine', '', ...[...lines].map((line) => `- ${line}`), ''];
}

function isMetText(isMet) {
    return isMet === null ? '-' : isMet ? 'met' : '**missed**';
}

/* A line a target. */
function targetsTable(results) {
    const rows = ROWS.filter(({ name, targets }) => targets && results[name]);
    const peers = ['ws', 'peerjs', 'uws'].filter((name) =>
        rows.some((row) => row.elsewhere && comparedWith(row, results[row.name].result, name)),
    );
    const heads = ['target', 'Switchboard', '', ...peers.map(titleOf)];
    const table = [['load', ...heads, ...ELSEWHERE.map((name) => `*${name}*`)]];
    for (const row of rows) {
        const { result } = results[row.name];
        verdictsOf(row, result).forEach(({ text, found, isMet }, i) => {
            const cells = [row.title, text, spreadText(found), isMetText(isMet)];
            const others = peers.map((name) =>
                i === 0 ? spreadText(comparedWith(row, result, name)) : '-',
            );
            const elsewhere = (i === 0 && row.elsewhere) || ELSEWHERE.map(() => '-');
            table.push([...cells, ...others, ...elsewhere]);
        });
    }
    return table;
}

function targetsSection(results) {
    const table = targetsTable(results);
    if (table.length === 1) {
        return [];
    }
    return [
        '## Against the targets',
        '',
        asMarkdown(table),
        '',
        'Columns in italics were published with the targets and are not measured here: single',
        'processes that promise nothing, on a machine of this kind. Multiples of the yardstick,',
        'but for the idle connection (bytes), flooding (p99 beside the flood by p99 without), users',
        '(the cost at the most users by that at the fewest) and a call (its cost by that of the same',
        'messages without a callId; bytes of the broker while it stands).',
        '',
    ];
}

function rowSection(row, found) {
    const runs = runsOf(row, found.result);
    return [
        `### ${row.title[0].toUpperCase()}${row.title.slice(1)}`,
        '',
        asMarkdown(tableOf(row, found.result)),
        '',
        `${howOf(found)}; ${runs} ${runs === 1 ? 'run' : 'runs'} each.`,
        '',
    ];
}

function plotsSection(results) {
    const names = Object.keys(plotsOf(results));
    const images = names.map((name) => `![${ALTERNATIVES[name]}](docs/bench/${name})\n`);
    return names.length === 0 ? [] : ['## Charts', '', ...images];
}

function ownSection(title, found, table) {
    return found ? [`## ${title}`, '', asMarkdown(table), '', `${howOf(found)}.`, ''] : [];
}

export function documentOf(results) {
    const { million, leak } = results;
    const rows = ROWS.filter(({ name }) => results[name]);
    return [
        INTRODUCTION,
        ...machinesOf(results),
        ...targetsSection(results),
        ...plotsSection(results),
        ...(rows.length > 0 ? ['## Tables', ''] : []),
        ...rows.flatMap((row) => rowSection(row, results[row.name])),
        ...ownSection('A million users', million, million && tableOfMillion(million.result)),
        ...ownSection('No leak', leak, leak && tableOfLeak(leak.result)),
    ]
        .join('\n')
        .replace(/\n+$/, '\n');
}
