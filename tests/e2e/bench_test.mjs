/* The bench: its arithmetic and its report from fixed figures, and one row from end to end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { documentOf } from '../bench/document.mjs';
import { growthOf, isLeaking } from '../bench/leak.mjs';
import { linearTicks, logTicks, short } from '../bench/plot.mjs';
import { plotsOf } from '../bench/plots.mjs';
import { parseRecovery } from '../bench/recovery.mjs';
import { ROWS } from '../bench/rows.mjs';
import { median, orderOf, ratiosOf, spread, summaryOf } from '../bench/statistics.mjs';
import { spreadText, verdictsOf } from '../bench/tables.mjs';
import { script } from './supervised.mjs';

const ABOUT = {
    commit: 'abc1234',
    date: '2030-01-01',
    command: 'scripts/bench',
    machine: { cores: 2, processor: 'P', kernel: '6.1', memoryGib: 23, node: 'v20' },
    repeats: 2,
    seconds: 5,
};
const RECOVERY = `100 sessions at 2 gateways
   start  to link ms    whole ms    total ms  broker kB
       1         2.0         1.0         3.0          2000
       2         4.0         2.0         6.0          2000
`;

function runsOf(...pairs) {
    return pairs.map(([server, cpuUs]) => {
        const figures = { cpuUs, p50Us: cpuUs * 10, p99Us: cpuUs * 20, perS: 1000 };
        return { server, figures };
    });
}

const runs = runsOf(
    ['yardstick', 4],
    ['switchboard', 9],
    ['yardstick', 8],
    ['switchboard', 16],
    ['yardstick', 8],
);

describe('statistics', () => {
    test('medians and spreads', () => {
        assert.equal(median([9, 1, 5]), 5);
        assert.equal(median([4, 1, 3, 2]), 2.5);
        assert.deepEqual(spread([3, 1, NaN, 2]), { median: 2, min: 1, max: 3, count: 3 });
        assert.equal(spread([undefined, NaN]), null);
    });

    test('the yardstick runs before and after each other server', () => {
        const round = ['yardstick', 'a', 'yardstick', 'b'];
        assert.deepEqual(orderOf(['a', 'b'], 2), [...round, ...round, 'yardstick']);
    });

    test('a ratio is to the yardsticks right beside it', () => {
        assert.deepEqual(ratiosOf(runs, 'switchboard', 'cpuUs'), [1.5, 2]);
        const { ratios, figures } = summaryOf(runs).switchboard;
        assert.deepEqual(ratios.cpuUs, { median: 1.75, min: 1.5, max: 2, count: 2 });
        assert.equal(figures.cpuUs.median, 12.5);
    });

    test('memory that grew by more than 2 % is a leak', () => {
        const part = (kib) => ({ brokerBytes: kib * 512, gatewaysBytes: [kib * 256, kib * 256] });
        assert.ok(Math.abs(growthOf([part(100), part(101)]) - 0.01) < 1e-9);
        assert.equal(isLeaking([part(100), part(150), part(101)]), false);
        assert.equal(isLeaking([part(100), part(103)]), true);
    });

    test('the table of recovery is read', () => {
        const { totalMs, bytes } = parseRecovery(RECOVERY);
        assert.deepEqual(totalMs, { median: 4.5, min: 3, max: 6, count: 2 });
        assert.equal(bytes.median, 2000 * 1024);
    });
});

describe('the report', () => {
    const one = summaryOf(runs);
    const recovery = [{ sessions: 100, gateways: 2, ...parseRecovery(RECOVERY) }];
    const results = {
        'pairs-100': { ...ABOUT, result: { all: one } },
        rates: { ...ABOUT, result: { 1000: one, 5000: one } },
        calls: {
            ...ABOUT,
            result: {
                keptUs: spread([180, 200]),
                plainUs: spread([170]),
                ratio: spread([1.1, 1.2]),
                perS: spread([3000]),
                bytes: spread([600]),
                gatewaysBytes: spread([300]),
            },
        },
        recovery: { ...ABOUT, result: [...recovery, { ...recovery[0], sessions: 1000 }] },
    };

    test('holds targets against the ratios', () => {
        const row = ROWS.find(({ name }) => name === 'pairs-100');
        const [verdict] = verdictsOf(row, { all: one });
        assert.equal(verdict.isMet, false);
        assert.equal(spreadText(verdict.found), '1.75 (1.50–2.00)');
    });

    test('has what was measured, and nothing else', () => {
        const text = documentOf(results);
        assert.match(text, /\| 100 pairs, 1 in flight \| 1.6× or less \| 1.75 \(.*\*\*missed\*\*/);
        assert.match(text, /\| 5,000 \| Switchboard \| 12.5 \(9.00–16.0\) \| 1.75/);
        const call = '\\| a call of 16 messages \\(100 at a time\\), and one that stands \\| ';
        assert.match(text, new RegExp(`${call}1.2× or less \\| 1.15 \\(1.10–1.20\\) \\| met`));
        assert.match(text, new RegExp(`${call}512 bytes or less \\| 600 \\| \\*\\*missed`));
        assert.match(text, /\| 190 \(180–200\) \| 1.15 \(1.10–1.20\) \| 170 \| 3,000 \| 600 \| 300 \|/);
        assert.match(text, /`scripts\/bench`, commit abc1234, 2030-01-01; 2 runs each/);
        assert.doesNotMatch(text, /undefined|NaN|A million users/);
    });

    test('draws a chart of what has a scale', () => {
        const plots = plotsOf(results);
        const names = ['cost-by-load.svg', 'latency-by-load.svg', 'recovery-by-sessions.svg'];
        assert.deepEqual(Object.keys(plots), names);
        for (const svg of Object.values(plots)) {
            assert.match(svg, /^<svg [^]*<\/svg>\n$/);
            assert.doesNotMatch(svg, /undefined|NaN|Infinity/);
            assert.ok(svg.length < 8192);
        }
    });

    test('has axes that a person would draw', () => {
        assert.deepEqual(linearTicks(9), [0, 2, 4, 6, 8, 10]);
        assert.deepEqual(logTicks(30, 2000), [10, 100, 1000, 10000]);
        assert.deepEqual([950, 1500, 1e6].map(short), ['950', '1.5k', '1M']);
    });
});

describe('scripts/bench', () => {
    test('measures a row', { timeout: 120000 }, async () => {
        const { status, output } = await script('bench', '--quick', 'pairs-100');
        assert.equal(status, 0, output);
        assert.match(output, /yardstick +\d/);
        assert.match(output, /Switchboard +\d.*target 1.6× or less: \d/s);
    });

    test('refuses rows that there are not', { timeout: 60000 }, async () => {
        const { status, output } = await script('bench', 'no-such-row');
        assert.equal(status, 2);
        assert.match(output, /no row "no-such-row"/);
    });
});
