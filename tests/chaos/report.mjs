/* What a scenario found: figures, and promises that were kept or broken. */
import { GAP_MIN_MS } from './latencies.mjs';
import { PROMISES } from './ledger.mjs';

const LABEL_COLUMNS = 22;

export function ms(value) {
    if (Number.isNaN(value)) {
        return '-';
    }
    return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

export function mib(bytes) {
    return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/* { a: 1, b: 2 } as "a 1, b 2". */
export function counts(object) {
    const entries = Object.entries(object);
    return entries.map(([name, count]) => `${name} ${count}`).join(', ') || 'none';
}

export function latency({ p50, p99, max }) {
    return `p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)}`;
}

export class Report {
    constructor({ name, about }) {
        this.name = name;
        this.kept = [];
        this.broken = [];
        this.summary = {};
        this.skipped = null;
        console.log(`\n${name}: ${about}`);
    }

    figure(label, value) {
        console.log(`    ${label.padEnd(LABEL_COLUMNS)} ${value}`);
    }

    /* It could not be tried here. */
    skip(why) {
        this.skipped = why;
        this.figure('skipped', why);
    }

    /* `detail` is shown when it is broken. */
    promise(text, isKept, detail = '') {
        if (!isKept) {
            this.broken.push(detail ? `${text}: ${detail}` : text);
        } else if (!this.kept.includes(text)) {
            this.kept.push(text);
        }
    }

    /* The load's result: its figures, and the promises that hold under any fault. */
    load(result) {
        const { errors, violations } = result;
        this.figure('messages', `${result.sent} sent, ${result.acked} acked`);
        this.figure('errors', counts(errors));
        this.figure('in dead connections', `${result.inDeadConnection} (no outcome owed)`);
        this.figure('seen again', `${result.seenAgain} on a new connection`);
        this.figure('acked while ending', `${result.ackedInEnding}`);
        this.figure('not sent', `${result.notSent} (the sender was away)`);
        this.figure('dropped', counts(result.dropped));
        this.figure('refused', counts(result.refused));
        this.figure('the load stood still', `${ms(result.stallMs)} at most`);
        for (const name of PROMISES) {
            const { count = 0, examples = [] } = violations[name] ?? {};
            this.promise(`0 ${name}`, count === 0, `${count}, e.g. ${examples.join('; ')}`);
        }
        this.summary = { ...this.summary, sent: result.sent, errors: total(errors) };
        this.summary.dropped = total(result.dropped);
    }

    /* No connection has ended but those that we ended ourselves. */
    nobodyDropped({ dropped }) {
        this.promise('0 connections dropped', total(dropped) === 0, counts(dropped));
    }

    noErrors({ errors }) {
        this.promise('0 errors', total(errors) === 0, counts(errors));
    }

    gap(label, gap) {
        this.figure(label, gap.ms === 0 ? `under ${ms(GAP_MIN_MS)}` : ms(gap.ms));
        this.summary.gapMs = Math.max(this.summary.gapMs ?? 0, gap.ms);
    }

    /* Whether every promise was kept. */
    finish() {
        console.log(`    kept: ${this.kept.join(', ') || 'nothing'}`);
        this.broken.forEach((line) => console.log(`    BROKEN: ${line}`));
        return this.broken.length === 0;
    }
}

export function total(object) {
    return Object.values(object).reduce((sum, count) => sum + count, 0);
}

function verdict(skipped, broken) {
    if (broken.length > 0) {
        return `BROKEN: ${broken.length}`;
    }
    return skipped ? 'skipped' : 'kept';
}

/* One line a scenario. */
export function printTable(reports) {
    const rows = reports.map(({ name, summary, skipped, broken }) => [
        name,
        String(summary.sent ?? '-'),
        String(summary.errors ?? '-'),
        String(summary.dropped ?? '-'),
        summary.gapMs ? ms(summary.gapMs) : '-',
        verdict(skipped, broken),
    ]);
    rows.unshift(['scenario', 'sent', 'errors', 'dropped', 'longest gap', 'promises']);
    const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
    console.log();
    for (const row of rows) {
        console.log(
            row
                .map((cell, i) => cell.padEnd(widths[i]))
                .join('  ')
                .trimEnd(),
        );
    }
}
