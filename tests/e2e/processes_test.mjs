/* The set as an operator runs it: scripts/run and scripts/stop, the supervisor between them, and
 * the signals that end a program. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { Client, makeDir, removeDir, root, startSet } from './harness.mjs';
import { environment, eventually, freePort, health, pidsOf, script } from './supervised.mjs';

const timeout = 120000;
const GOING_AWAY = 1001;

async function withRunningSet(gateways, body) {
    const dir = makeDir();
    const listen = `127.0.0.1:${await freePort()}`;
    try {
        const args = ['--gateways', gateways, '--listen', listen, '--run-dir', dir, '--detach'];
        const started = await script('run', ...args);
        assert.equal(started.status, 0, started.output);
        assert.match(started.output, new RegExp(`Switchboard is at http://${listen}/\n$`));
        await body(dir, listen);
    } finally {
        const stopped = await script('stop', '--run-dir', dir);
        assert.equal(stopped.status, 0, stopped.output);
        removeDir(dir);
    }
}

async function checkCall(url) {
    const alice = await Client.connect(url, { userId: 'alice' });
    const bob = await Client.connect(url, { userId: 'bob' });
    alice.send({ type: 'call-start', to: 'bob' });
    assert.equal((await bob.next()).from, 'alice');
    await Promise.all([alice.close(), bob.close()]);
}

describe('scripts/run and scripts/stop', () => {
    test('a set runs, and what is killed comes back', { timeout }, async () => {
        await withRunningSet(2, async (dir, listen) => {
            assert.equal(pidsOf(dir, 'switchboard-gateway').length, 2);
            await checkCall(`ws://${listen}`);

            const [broker] = pidsOf(dir, 'switchboard-broker');
            process.kill(broker, 'SIGKILL');
            await eventually('a new broker', () => {
                const pids = pidsOf(dir, 'switchboard-broker');
                return pids.length === 1 && pids[0] !== broker;
            });
            await checkCall(`ws://${listen}`);

            const gateways = pidsOf(dir, 'switchboard-gateway');
            gateways.forEach((pid) => process.kill(pid, 'SIGKILL'));
            await eventually('new gateways', async () => {
                const pids = pidsOf(dir, 'switchboard-gateway');
                const isNew = pids.length === 2 && !pids.some((pid) => gateways.includes(pid));
                return isNew && (await health(`http://${listen}`))?.ok;
            });
            await eventually('calls', () =>
                checkCall(`ws://${listen}`).then(
                    () => true,
                    () => false,
                ),
            );
        });
    });

    test('stop ends everything, and says so again when nothing runs', { timeout }, async () => {
        let seen;
        await withRunningSet(1, async (dir, listen) => {
            seen = dir;
            const client = await Client.connect(`ws://${listen}`, { userId: 'alice' });
            const pids = ['supervisord', 'switchboard-broker', 'switchboard-gateway'];
            const stopped = await script('stop', '--run-dir', dir);
            assert.deepEqual(stopped, { status: 0, output: '' });
            assert.equal((await client.ended).code, GOING_AWAY);
            assert.equal(await health(`http://${listen}`), null);
            pids.forEach((name) => assert.deepEqual(pidsOf(dir, name), []));
            const again = await script('stop', '--run-dir', dir);
            assert.deepEqual(again, { status: 0, output: '' });
            const log = readFileSync(join(dir, 'gateway-0.log'), 'utf8');
            assert.match(log, /info stopped/);
            assert.doesNotMatch(log, /Sanitizer/);
            assert.match(readFileSync(join(dir, 'broker.log'), 'utf8'), /info stopped/);
        });
        assert.ok(seen);
    });

    test('a second set in the same place is refused', { timeout }, async () => {
        await withRunningSet(1, async (dir, listen) => {
            const args = ['--run-dir', dir, '--detach', '--gateways', '1'];
            const free = `127.0.0.1:${await freePort()}`;
            const second = await script('run', ...args, '--listen', free);
            assert.equal(second.status, 1);
            assert.match(second.output, /running in .* already/);
            const other = makeDir();
            const third = await script('run', '--run-dir', other, '--listen', listen);
            assert.equal(third.status, 1);
            assert.match(third.output, /listens on .* already/);
            removeDir(other);
            await checkCall(`ws://${listen}`);
        });
    });

    test('in the foreground it shows the logs, until SIGINT', { timeout }, async () => {
        const dir = makeDir();
        const listen = `127.0.0.1:${await freePort()}`;
        const args = ['--gateways', '1', '--listen', listen, '--run-dir', dir];
        const child = spawn(join(root, 'scripts', 'run'), args, { env: environment(), cwd: '/' });
        let output = '';
        const isUp = new Promise((resolve) => {
            const onOutput = (chunk) => {
                output += chunk;
                if (output.includes(`Switchboard is at http://${listen}/`)) {
                    resolve();
                }
            };
            child.stdout.on('data', onOutput);
            child.stderr.on('data', onOutput);
        });
        const ended = new Promise((resolve) => child.once('close', resolve));
        try {
            await Promise.race([isUp, ended]);
            await checkCall(`ws://${listen}`);
        } finally {
            child.kill('SIGINT');
            await ended;
        }
        assert.match(output, /info listening/);
        assert.match(output, /info link-up/);
        assert.match(output, /info stopped/);
        assert.deepEqual(pidsOf(dir, 'switchboard-gateway'), []);
        removeDir(dir);
    });

    test('wrong arguments are refused in a sentence', { timeout }, async () => {
        const dir = makeDir();
        const long = join(dir, 'x'.repeat(100));
        for (const [args, complaint] of [
            [['--gateways', '0'], /not a number/],
            [['--gateways', 'x'], /not a number/],
            [['--listen', '8080'], /not HOST:PORT/],
            [['--listen', '127.0.0.1:0'], /not 0/],
            [['--run-dir', long], /path is too long/],
            [['--listen'], /needs a value/],
            [['--what'], /usage:/],
        ]) {
            const { status, output } = await script('run', '--run-dir', dir, ...args);
            assert.notEqual(status, 0, args.join(' '));
            assert.match(output, complaint);
        }
        const commands = ['run', 'stop', 'rolling-restart', 'chaos', 'bench'];
        for (const name of [...commands, 'test', 'install', 'fuzz']) {
            const { status, output } = await script(name, '--help');
            assert.equal(status, 0, name);
            assert.match(output, /^usage: scripts\//);
        }
        removeDir(dir);
    });
});

describe('signals', () => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
        test(`${signal} closes clients with 1001 and ends with 0`, { timeout }, async () => {
            const set = await startSet({ gateways: 2, brokerFlags: { 'hold-ms': 0 } });
            const clients = await Promise.all(
                [...Array(50).keys()].map((i) => set.connect(i % 2, `user-${i}`)),
            );
            const idle = await set.raw(0);
            await set.gateways[0].stop(signal);
            for (const [i, client] of clients.entries()) {
                if (i % 2 === 0) {
                    assert.equal((await client.ended).code, GOING_AWAY);
                }
            }
            await idle.rest();
            /* The others have not noticed, and the users of the first are offline. */
            clients[1].send({ type: 'call-start', to: 'user-3' });
            assert.equal((await clients[3].next()).from, 'user-1');
            await set.broker.waitFor(/link-down slot=0/);
            clients[1].send({ type: 'call-start', to: 'user-0' });
            assert.equal((await clients[1].next()).code, 'user-offline');
            await set.broker.stop(signal);
            await set.gateways[1].stop(signal);
            assert.equal((await clients[1].ended).code, GOING_AWAY);
        });
    }

    test('messages under way get their outcome before the end', { timeout }, async () => {
        const set = await startSet({ gateways: 2 });
        const alice = await set.connect(0, 'alice', { protocol: true });
        const bob = await set.connect(1, 'bob');
        await alice.nextOf('welcome');
        await bob.fence();
        for (let id = 0; id < 200; id++) {
            alice.send({ type: 'call-candidate', to: 'bob', id });
        }
        await bob.next();
        set.gateways[0].signal('SIGTERM');
        assert.equal((await alice.ended).code, GOING_AWAY);
        /* What the gateway had read is answered; what it had not, bob has not got. */
        await bob.fence();
        const acked = alice.inbox.map(({ data }) => data.id);
        const received = [0, ...bob.inbox.map(({ data }) => data.id)];
        assert.deepEqual(acked, received);
        await set.gateways[0].ended;
        set.gateways.shift();
        set.ports.shift();
        await set.stop();
    });
});
