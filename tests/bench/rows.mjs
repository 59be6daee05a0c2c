/* What is measured, and what it should come to: the rows that scripts/bench takes by name. */
import { measureCalls } from './calls.mjs';
import { fairness, handshakes, idle, load } from './cases.mjs';
import { measureRecovery } from './recovery.mjs';
import { measureUsers } from './users.mjs';

const MESSAGE_COLUMNS = [
    ['cpuUs', 'CPU µs a message'],
    ['perS', 'messages/s'],
    ['p50Us', 'p50 µs'],
    ['p99Us', 'p99 µs'],
];
const OPEN_COLUMNS = [
    ['cpuUs', 'CPU µs a message'],
    ['p50Us', 'p50 µs'],
    ['p99Us', 'p99 µs'],
    ['p999Us', 'p99.9 µs'],
    ['lagP99Us', "generator's lag, p99 µs"],
];
const RATES = [1000, 5000, 10000, 20000, 40000];

/* A target is `max` for a figure, or for its ratio to the yardstick. `elsewhere`: ratios that were
 * published with the targets; this program does not measure them. `hasNoRatio`: the yardstick is
 * one server among others. */
export const ROWS = [
    {
        name: 'pairs-100',
        title: '100 pairs, 1 in flight',
        columns: MESSAGE_COLUMNS,
        cases: { all: { run: load({ pairs: 100, 'in-flight': 1 }) } },
        targets: [{ figure: 'cpuUs', isRatio: true, max: 1.6 }],
        elsewhere: ['3.1', '1.3', '2.9', '1.06'],
    },
    {
        name: 'together',
        title: '100 pairs, 16 in flight, frames together',
        columns: MESSAGE_COLUMNS,
        cases: { all: { run: load({ pairs: 100, 'in-flight': 16, together: true }) } },
        targets: [{ figure: 'cpuUs', isRatio: true, max: 2.5 }],
        elsewhere: ['17', '16', '27', '13'],
    },
    {
        name: 'alone',
        title: '100 pairs, 16 in flight, each frame alone',
        columns: MESSAGE_COLUMNS,
        cases: { all: { run: load({ pairs: 100, 'in-flight': 16, alone: true }) } },
        targets: [{ figure: 'cpuUs', isRatio: true, max: 1.5 }],
        elsewhere: ['-', '1.3', '-', '1.1'],
    },
    {
        name: 'pairs-2000',
        title: '2,000 pairs, 1 in flight',
        columns: MESSAGE_COLUMNS,
        cases: { all: { run: load({ pairs: 2000, 'in-flight': 1 }) } },
        targets: [{ figure: 'cpuUs', isRatio: true, max: 1.4 }],
        elsewhere: ['3.0', '1.6', '2.4', '1.0 to 1.3'],
    },
    {
        name: 'open',
        title: 'open loop, 20,000 messages/s on 100 pairs',
        columns: OPEN_COLUMNS,
        cases: { all: { run: load({ pairs: 100, rate: 20000 }) } },
        targets: [
            { figure: 'cpuUs', isRatio: true, max: 2 },
            { figure: 'p50Us', isRatio: true, max: 3 },
        ],
        elsewhere: ['2.4', '1.3', '1.8', '1.04'],
    },
    {
        name: 'rates',
        title: 'open loop on 100 pairs, by rate',
        by: 'messages/s',
        columns: OPEN_COLUMNS,
        cases: Object.fromEntries(RATES.map((rate) => [rate, { run: load({ pairs: 100, rate }) }])),
    },
    {
        name: 'idle',
        title: 'idle connection (18,000), all processes',
        columns: [
            ['bytes', 'bytes each'],
            ['idleCpuUs', 'CPU µs a second each'],
        ],
        cases: { all: { run: idle(18000) } },
        repeatsMax: 3,
        targets: [{ figure: 'bytes', max: 600 }],
        elsewhere: ['137,000', '9,150', '5,800', '329'],
    },
    {
        name: 'handshakes',
        title: 'handshakes',
        columns: [
            ['cpuUs', 'CPU µs each'],
            ['perS', 'a second'],
        ],
        cases: { all: { run: handshakes({ 'connect-rate': 100000, 'source-addresses': 16 }) } },
        targets: [{ figure: 'cpuUs', isRatio: true, max: 2 }],
        elsewhere: ['18', '2', '9', '1.2'],
    },
    {
        name: 'flood',
        title: 'the others beside one flooding pair (100 pairs, 5,000 messages/s)',
        columns: [
            ['factor', 'p99 beside ÷ alone'],
            ['p99Us', 'p99 alone µs'],
            ['p99FloodedUs', 'p99 beside µs'],
            ['floodPerS', 'flood, messages/s'],
        ],
        hasNoRatio: true,
        cases: { all: { run: fairness({ pairs: 100, rate: 5000 }) } },
        targets: [{ figure: 'factor', max: 3 }],
    },
    {
        name: 'users',
        title: 'cost of a message and memory of a connection by connected users',
        measure: measureUsers,
        targets: [{ figure: 'growth', max: 1.2 }],
    },
    {
        name: 'calls',
        title: 'a call of 16 messages (100 at a time), and one that stands',
        measure: (subjects, options, say) => measureCalls(options, say),
        targets: [
            { figure: 'ratio', max: 1.2 },
            { figure: 'bytes', max: 512 },
        ],
    },
    {
        name: 'recovery',
        title: 'a killed broker until it routes again, by sessions',
        measure: (subjects, options, say) => measureRecovery(options, say),
    },
];

export const ELSEWHERE = ['Tokio', 'Tokio, tuned', 'ws', 'uWebSockets C++'];
