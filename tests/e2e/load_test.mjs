/* switchboard-load against a real set, against the yardstick, and against relays that are at fault:
 * each fault must be found, named, and end it with status 1. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';

import { WebSocketServer } from 'ws';

import { binDir, cleanEnvironment } from './environment.mjs';
import { startSet } from './harness.mjs';

const GOOD = { lost: 0, doubled: 0, misrouted: 0, reordered: 0, altered: 0, wrong_from: 0 };
const TIMEOUT = { timeout: 60000 };

function flagsOf(options) {
    return Object.entries(options).flatMap(([name, value]) =>
        [value].flat().flatMap((one) => (one === true ? [`--${name}`] : [`--${name}`, `${one}`])),
    );
}

/* Resolves with its status, its JSON, and what it said on standard error. */
async function load(port, options) {
    const flags = flagsOf({ target: `127.0.0.1:${port}`, warmup: 0, json: true, ...options });
    return new Promise((resolve) => {
        const program = join(binDir, 'switchboard-load');
        execFile(program, flags, { env: cleanEnvironment() }, (error, stdout, stderr) => {
            const report = stdout === '' ? null : JSON.parse(stdout);
            resolve({ status: error ? error.code : 0, report, stderr });
        });
    });
}

let set;
before(async () => {
    set = await startSet({ gateways: 2 });
});
after(async () => set.stop());

async function loadSet(options) {
    const pids = [set.broker.pid, ...set.gateways.map((gateway) => gateway.pid)];
    const targets = [0, 1].map((slot) => `127.0.0.1:${set.port(slot)}`);
    return load(set.port(0), { target: targets, 'server-pid': pids, ...options });
}

function assertPercentiles({ count, p50, p90, p99, p999, max, mean }) {
    assert.ok(count > 0);
    const rising = [0, p50, p90, p99, p999, max];
    assert.deepEqual(rising, [...rising].sort((a, b) => a - b));
    assert.ok(mean > 0 && mean <= max);
}

function assertGood({ status, report, stderr }) {
    assert.equal(status, 0, stderr + JSON.stringify(report));
    assert.deepEqual(report.wrong, GOOD);
    assert.deepEqual(report.errors, {});
    assert.deepEqual(report.connection_errors, {});
}

function assertCosts({ server, generator }) {
    assert.ok(server.cpu_us_per_message > 0);
    assert.ok(Math.abs(server.user_s + server.sys_s - server.cpu_s) < 0.001);
    assert.ok(server.switches_per_message > 0);
    assert.ok(server.rss_kb >= server.pss_kb && server.pss_kb > 0);
    assert.ok(generator.cpu_us_per_message > 0);
}

for (const style of ['together', 'alone']) {
    test(`closed loop, ${style}`, TIMEOUT, async () => {
        const result = await loadSet({ pairs: 20, 'in-flight': 4, seconds: 2, [style]: true });
        assertGood(result);
        const { report } = result;
        assert.equal(report.mode, 'closed');
        assert.equal(report.together, style === 'together');
        assert.deepEqual([report.pairs, report.in_flight, report.connections], [20, 4, 40]);
        assert.equal(report.seconds, 2);
        assert.ok(report.delivered > 0 && report.sent >= report.delivered);
        assert.ok(Math.abs(report.per_s - report.delivered / 2) < 1);
        assert.equal(report.latency_us.count, report.delivered);
        assertPercentiles(report.latency_us);
        assertCosts(report);
        assert.equal(report.flood, null);
    });
}

test('open loop, in two workers, beside flooding pairs', TIMEOUT, async () => {
    const flood = { 'flood-pairs': 2, 'flood-in-flight': 5 };
    const result = await loadSet({ pairs: 10, rate: 500, seconds: 2, workers: 2, ...flood });
    assertGood(result);
    const { report } = result;
    assert.equal(report.mode, 'open');
    /* How much of the rate comes about is the machine's affair; more than it must not. */
    assert.ok(report.sent > 0 && report.sent <= 1002, `${report.sent} sent`);
    assert.ok(report.delivered > 0);
    assertPercentiles(report.latency_us);
    assertPercentiles(report.lag_us);
    assert.deepEqual([report.flood.pairs, report.flood.in_flight], [2, 5]);
    assert.deepEqual(report.flood.wrong, GOOD);
    assert.ok(report.flood.delivered > 0);
});

test('idle connections', TIMEOUT, async () => {
    const options = { 'connect-only': 300, hold: 1, workers: 2, 'source-addresses': 3 };
    const result = await loadSet(options);
    assertGood(result);
    const { report } = result;
    assert.deepEqual([report.mode, report.connections], ['connect-only', 300]);
    assert.equal(report.handshakes.count, 300);
    assert.equal(report.server.cpu_us_per_message, null);
    assert.ok(report.server.rss_before_kb > 0);
});

test('connections that come and go', TIMEOUT, async () => {
    for (const rate of [100, 0]) {
        const result = await loadSet({ churn: true, 'connect-rate': rate, seconds: 2 });
        assertGood(result);
        const { mode, handshakes, server } = result.report;
        assert.equal(mode, 'churn');
        assertPercentiles(handshakes.latency_us);
        assert.ok(handshakes.in_window > 0 && (rate === 0 || handshakes.in_window < 210));
        assert.ok(server.cpu_us_per_handshake > 0);
    }
});

test('messages of every size', TIMEOUT, async () => {
    for (const bytes of [96, 130, 200, 5000, 65000]) {
        const flood = { 'message-bytes': bytes, 'in-flight': 3, pairs: 4, seconds: 0.3 };
        assertGood(await loadSet(flood));
    }
});

test('the table', TIMEOUT, async () => {
    const flags = flagsOf({ target: `127.0.0.1:${set.port(0)}`, warmup: 0, seconds: 0.5, pairs: 3 });
    const child = spawn(join(binDir, 'switchboard-load'), flags, { env: cleanEnvironment() });
    const text = (await child.stdout.toArray()).join('');
    assert.match(text, /^closed loop: 3 pairs.*\n.*connections +6\n/);
    assert.match(text, /delivered +\d+ in 0\.5 s/);
    assert.match(text, /none lost/);
});

test('the yardstick', TIMEOUT, async () => {
    const flags = ['--listen', '127.0.0.1:0'];
    const options = { stdio: ['ignore', 'inherit', 'pipe'], env: cleanEnvironment() };
    const yardstick = spawn(join(binDir, 'switchboard-yardstick'), flags, options);
    const [line] = await once(createInterface({ input: yardstick.stderr }), 'line');
    const [, port] = line.match(/:(\d+)$/);
    for (const size of [96, 200, 60000]) {
        const many = { pairs: 5, 'in-flight': 20, 'message-bytes': size, seconds: 0.3 };
        assertGood(await load(port, { dialect: 'yardstick', ...many }));
    }
    yardstick.kill('SIGTERM');
    assert.deepEqual(await once(yardstick, 'exit'), [0, null]);
});

/* A relay that adds `from`, and calls `deliver(send, text, index)` for each message it has read;
 * send(text, userId) hands one out. */
async function startRelay(deliver) {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const sockets = new Map();
    let index = 0;
    server.on('connection', (socket, request) => {
        const userId = new URL(request.url, 'ws://relay').searchParams.get('userId');
        sockets.set(userId, socket);
        socket.on('message', (bytes) => {
            const text = `{"from":"${userId}",${bytes.toString().slice(1)}`;
            const send = (out, to = JSON.parse(text).to) => sockets.get(to).send(out);
            deliver(send, text, ++index, socket);
        });
    });
    return {
        port: server.address().port,
        stop: () => {
            server.clients.forEach((client) => client.terminate());
            server.close();
        },
    };
}

async function loadRelay(deliver, options = {}) {
    const relay = await startRelay(deliver);
    const many = { pairs: 3, 'in-flight': 4, seconds: 0.5, drain: 0.5 };
    const result = await load(relay.port, { ...many, ...options });
    relay.stop();
    return result;
}

/* Does `fault` to one message to load-0, and nothing to all others. */
function toOne(fault) {
    let isDone = false;
    return (send, text, index, socket) => {
        if (!isDone && index > 20 && text.includes('"to":"load-0"')) {
            isDone = true;
            fault(send, text, socket);
        } else {
            send(text);
        }
    };
}

test('a relay without fault', TIMEOUT, async () => {
    assertGood(await loadRelay((send, text) => send(text)));
});

const faults = [
    ['lost', () => {}, { lost: 1 }],
    ['doubled', (send, text) => [1, 2].forEach(() => send(text)), { doubled: 1 }],
    ['misrouted', (send, text) => send(text, 'load-5'), { misrouted: 1, lost: 1 }],
    ['altered', (send, text) => send(text.replace('"x', '"y')), { altered: 1, lost: 1 }],
    ['renumbered', (send, text) => send(text.replace(/"n":\d/, '"n":')), { altered: 1, lost: 1 }],
    ['cut', (send, text) => send(text.replace('xx', 'x')), { altered: 1, lost: 1 }],
    ['wrong from', (send, text) => send(text.replace('from":"load', 'from":"road')),
        { wrong_from: 1, lost: 1 }],
    ['without from', (send, text) => send(`{${text.slice(text.indexOf('"type'))}`),
        { wrong_from: 1, lost: 1 }],
];
for (const [name, fault, expected] of faults) {
    test(`a fault is found: ${name}`, TIMEOUT, async () => {
        const { status, report } = await loadRelay(toOne(fault));
        assert.equal(status, 1);
        assert.deepEqual(report.wrong, { ...GOOD, ...expected });
    });
}

test('a fault is found: reordered', TIMEOUT, async () => {
    let first = null;
    const { status, report } = await loadRelay((send, text, index) => {
        if (index > 20 && first === null && text.includes('"to":"load-0"')) {
            first = text;
        } else {
            send(text);
            if (first && text.includes('"to":"load-0"')) {
                send(first);
                first = '';
            }
        }
    });
    assert.equal(status, 1);
    assert.deepEqual(report.wrong, { ...GOOD, reordered: 1 });
});

const overloaded = '{"type":"error","code":"overloaded","message":"full","to":"load-0"}';

test('errors end it with status 1, unless they are allowed', TIMEOUT, async () => {
    const deliver = toOne((send, text, socket) => socket.send(overloaded));
    const { status, report } = await loadRelay(deliver);
    assert.equal(status, 1);
    assert.deepEqual(report.errors, { overloaded: 1 });
    assert.deepEqual(report.wrong, GOOD);
    const again = toOne((send, text, socket) => socket.send(overloaded));
    assert.equal((await loadRelay(again, { 'allow-errors': true })).status, 0);
});

test('a message that is delivered and reported as failed has two ends', TIMEOUT, async () => {
    const deliver = toOne((send, text, socket) => {
        send(text);
        socket.send(overloaded);
    });
    const { status, report } = await loadRelay(deliver, { 'allow-errors': true });
    assert.equal(status, 1);
    assert.deepEqual(report.wrong, { ...GOOD, doubled: 1 });
});

test('connections that are lost are told', TIMEOUT, async () => {
    const deliver = toOne((send, text, socket) => socket.close(4001));
    const { status, report } = await loadRelay(deliver);
    assert.equal(status, 1);
    assert.deepEqual(report.connection_errors, { 'closed-4001': 1 });
    assert.ok(report.wrong.lost > 0);
});

test('a server that is not there', TIMEOUT, async () => {
    const { status, report } = await load(1, { pairs: 2, seconds: 20 });
    assert.equal(status, 1);
    assert.deepEqual(report.connection_errors, { 'connection-refused': 4 });
});

test('a server that refuses', TIMEOUT, async () => {
    const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end('HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { status, report } = await load(server.address().port, { pairs: 2 });
    server.close();
    assert.equal(status, 1);
    assert.deepEqual(report.connection_errors, { 'refused-503': 4 });
});

test('flags that will not do', TIMEOUT, async () => {
    const wrong = [
        { pairs: 0 },
        { pairs: 'x' },
        { rate: 5, churn: true },
        { dialect: 'french' },
        { 'message-bytes': 10 },
        { pairs: 15000 },
        { 'first-user': 1 },
        { 'user-prefix': 'a b' },
        { seconds: -1 },
        { 'server-pid': 0 },
        { 'server-pid': 2 ** 31 - 1 },
    ];
    for (const options of wrong) {
        const { status, stderr } = await load(1, options);
        assert.equal(status, 2, JSON.stringify(options));
        assert.notEqual(stderr, '');
    }
});
