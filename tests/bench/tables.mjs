/* Results as tables: lists of rows of cells, the header first; and those as text or as Markdown. */
import { titleOf } from './servers.mjs';
import { YARDSTICK } from './statistics.mjs';

export function number(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) {
        return '-';
    }
    const size = Math.abs(value);
    if (size > 0 && size < 0.1) {
        return value.toPrecision(2);
    }
    const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
    return value.toLocaleString('en-US', {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
    });
}

/* The median, and between which runs it lies. */
export function spreadText(spread) {
    if (!spread) {
        return '-';
    }
    const { median, min, max, count } = spread;
    return count === 1 ? number(median) : `${number(median)} (${number(min)}–${number(max)})`;
}

/* What a row's first figure is to the yardstick stands right behind it. */
function withRatio({ hasNoRatio }, cells, ratio) {
    return hasNoRatio ? cells : [cells[0], ratio, ...cells.slice(1)];
}

function cellsOf(row, columns, { figures, ratios }) {
    const cells = columns.map(([figure]) => spreadText(figures[figure]));
    return withRatio(row, cells, spreadText(ratios[columns[0][0]]));
}

function hasErrors(cases) {
    const summaries = Object.values(cases).flatMap((servers) => Object.values(servers));
    return summaries.some(({ figures }) => figures.errors?.max > 0);
}

/* Of a row that has cases; with errors when there were any. */
export function tableOfCases(row, cases) {
    const { by } = row;
    const columns = [...row.columns, ...(hasErrors(cases) ? [['errors', 'errors']] : [])];
    const heads = columns.map(([, head]) => head);
    const table = [[...(by ? [by] : []), 'server', ...withRatio(row, heads, '× yardstick')]];
    for (const [key, servers] of Object.entries(cases)) {
        for (const [name, summary] of Object.entries(servers)) {
            const label = by ? [Number(key).toLocaleString('en-US')] : [];
            table.push([...label, titleOf(name), ...cellsOf(row, columns, summary)]);
        }
    }
    return table;
}

export function tableOfUsers({ servers }) {
    const table = [['users', 'server', 'CPU µs a message', '× the fewest users', 'bytes each']];
    for (const [name, points] of Object.entries(servers)) {
        for (const { users, cpuUs, growth, bytes } of points) {
            const cells = [cpuUs, growth, bytes].map(spreadText);
            table.push([users.toLocaleString('en-US'), titleOf(name), ...cells]);
        }
    }
    return table;
}

export function tableOfRecovery(points) {
    const heads = [
        'to the first link, ms',
        'to attach all, ms',
        'together, ms',
        'broker, bytes each',
    ];
    const table = [['sessions', 'gateways', ...heads]];
    for (const { sessions, gateways, linkMs, attachMs, totalMs, bytes } of points) {
        const cells = [linkMs, attachMs, totalMs].map(spreadText);
        const each = number(bytes.median / sessions);
        table.push([sessions.toLocaleString('en-US'), String(gateways), ...cells, each]);
    }
    return table;
}

export function tableOfCalls({ keptUs, plainUs, ratio, perS, bytes, gatewaysBytes }) {
    const heads = ['CPU µs a call', '× without callId', 'without callId, CPU µs', 'calls/s'];
    return [
        [...heads, 'standing: broker, bytes', 'gateways, bytes'],
        [keptUs, ratio, plainUs, perS, bytes, gatewaysBytes].map(spreadText),
    ];
}

const TABLES = { users: tableOfUsers, recovery: tableOfRecovery, calls: tableOfCalls };

export function tableOf(row, result) {
    return TABLES[row.name]?.(result) ?? tableOfCases(row, result);
}

/* How often Switchboard was measured. */
export function runsOf(row, result) {
    if (row.name === 'calls') {
        return result.ratio.count;
    }
    if (row.measure) {
        const points = row.name === 'users' ? result.servers.switchboard : result;
        return (points[0].cpuUs ?? points[0].totalMs).count;
    }
    const [{ switchboard }] = Object.values(result);
    return Object.values(switchboard.figures)[0].count;
}

/* What of Switchboard's is held against a target: a spread, or null where it was not measured. */
function measured(row, result, { figure, isRatio }) {
    if (row.name === 'users') {
        return result.servers.switchboard?.at(-1)?.[figure] ?? null;
    }
    if (row.name === 'calls') {
        return result[figure];
    }
    const [servers] = Object.values(result);
    return servers.switchboard?.[isRatio ? 'ratios' : 'figures'][figure] ?? null;
}

/* [{ text, found, isMet }] of a row's targets. */
export function verdictsOf(row, result) {
    return (row.targets ?? []).map((target) => {
        const found = measured(row, result, target);
        const what = target.figure === 'p50Us' ? 'p50 ' : '';
        const unit = target.isRatio ? '×' : ({ bytes: ' bytes' }[target.figure] ?? '×');
        const text = `${what}${target.max}${unit} or less`;
        return { text, found, isMet: found === null ? null : found.median <= target.max };
    });
}

/* The ratio of the row's first target that another server has; for the table of targets. */
export function comparedWith(row, result, server) {
    const [target] = row.targets;
    if (row.measure || server === YARDSTICK) {
        return null;
    }
    const [servers] = Object.values(result);
    return servers[server]?.[target.isRatio ? 'ratios' : 'figures'][target.figure] ?? null;
}

export function asText(table) {
    const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)));
    const line = (row) => row.map((cell, i) => cell.padEnd(widths[i])).join('  ');
    return table.map((row) => `    ${line(row).trimEnd()}`).join('\n');
}

export function asMarkdown(table) {
    const line = (cells) => `| ${cells.join(' | ')} |`;
    const [head, ...rows] = table;
    return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
