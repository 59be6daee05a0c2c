/* switchboard-calls against a real set, and against a server that keeps no calls, or is at fault. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';

import { WebSocketServer } from 'ws';

import { Program, startSet } from './harness.mjs';

const timeout = 60000;
const SHORT = { 'warmup-ms': 100, 'window-ms': 500 };

/* Its status, what it says on standard error, and its JSON. */
async function run(flags) {
    const program = new Program('switchboard-calls', flags, { output: 'pipe' });
    const output = await text(program.child.stdout);
    const { status } = await program.ended;
    return { status, log: program.log(), report: output === '' ? null : JSON.parse(output) };
}

let set;
before(async () => {
    set = await startSet({ gateways: 2 });
});
after(() => set.stop());

async function runSet(flags) {
    const targets = set.ports.map((port) => `127.0.0.1:${port}`).join(',');
    const pids = [set.broker, ...set.gateways].map(({ pid }) => pid).join(',');
    const { status, log, report } = await run({ targets, 'server-pids': pids, ...flags });
    assert.equal(status, 0, log);
    return report;
}

for (const managed of [0, 1]) {
    for (const bytes of [192, 200, 5000]) {
        test(`calls of ${bytes} bytes a message, managed ${managed}`, { timeout }, async () => {
            const flags = { managed, pairs: 7, 'message-bytes': bytes, ...SHORT };
            const { calls, seconds, ...report } = await runSet(flags);
            assert.ok(calls > 0 && seconds > 0);
            assert.deepEqual([report.managed, report.pairs], [managed === 1, 7]);
            assert.ok(report.cpu_us_per_call > 0 && report.per_s > 0);
            const sixteen = report.cpu_us_per_message * 16;
            assert.ok(Math.abs(sixteen - report.cpu_us_per_call) < 0.1);
        });
    }
}

test('standing calls, on every pair so many', { timeout }, async () => {
    const report = await runSet({ standing: 103, pairs: 10, ...SHORT });
    assert.equal(report.standing, 103);
    assert.equal(report.bytes.length, 3);
});

/* A relay that puts the sender in front, as the server does with a message without a callId. */
async function startRelay(change = (out) => out) {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const sockets = new Map();
    let count = 0;
    server.on('connection', (socket, request) => {
        const userId = new URL(request.url, 'ws://relay').searchParams.get('userId');
        sockets.set(userId, socket);
        socket.on('message', (bytes) => {
            const out = `{"from":"${userId}",${bytes.toString().slice(1)}`;
            sockets.get(JSON.parse(out).to).send(change(out, ++count));
        });
    });
    return {
        targets: `127.0.0.1:${server.address().port}`,
        stop: () => {
            server.clients.forEach((client) => client.terminate());
            server.close();
        },
    };
}

for (const [name, flags, change, status] of [
    ['a relay is enough for plain messages', { managed: 0 }, undefined, 0],
    ['and not for calls', { managed: 1 }, undefined, 1],
    [
        'a message that is altered is found',
        { managed: 0 },
        (out, count) => (count === 100 ? out.replace('xx', 'xy') : out),
        1,
    ],
    [
        'one from somebody else as well',
        { managed: 0 },
        (out, count) => (count === 100 ? out.replace('"from":"call', '"from":"fall') : out),
        1,
    ],
]) {
    test(name, { timeout }, async () => {
        const relay = await startRelay(change);
        const result = await run({ targets: relay.targets, pairs: 3, ...SHORT, ...flags });
        relay.stop();
        assert.equal(result.status, status, result.log);
        if (status === 1) {
            assert.match(result.log, /not what was to come: /);
            assert.equal(result.report, null);
        }
    });
}

test('flags that will not do', { timeout }, async () => {
    for (const flags of [
        { targets: 'nowhere' },
        { 'server-pids': '1,x' },
        { pairs: 0 },
        { managed: 2 },
        { 'message-bytes': 10 },
    ]) {
        const { status, log } = await run(flags);
        assert.equal(status, 2, JSON.stringify(flags));
        assert.notEqual(log, '');
    }
});

test('a server that is not there', { timeout }, async () => {
    const { status, log } = await run({ targets: '127.0.0.1:1', pairs: 2, ...SHORT });
    assert.equal(status, 1);
    assert.match(log, /a connection is gone: connection-refused/);
});
