/* When a process stands still, or what it depends on does: who is to blame, and who is still told
 * the truth. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';

import { binDir, handshake, plainRequest, startSet } from './harness.mjs';

const timeout = 60000;
const BACKLOG_BYTES = 1024 * 1024;

describe('a gateway', () => {
    test('that stood still does not close clients that could not be heard', { timeout }, async () => {
        const flags = { 'ping-interval-ms': 300, 'idle-timeout-ms': 900 };
        const set = await startSet({ flags });
        const clients = [];
        for (let i = 0; i < 20; i++) {
            clients.push(await set.connect(0, `user-${i}`));
        }
        set.gateways[0].signal('SIGSTOP');
        await pass(2500); /* what is tested: longer than the silence that would end a client */
        set.gateways[0].signal('SIGCONT');
        for (const [i, client] of clients.entries()) {
            client.send({ type: 'call-start', to: `user-${i}`, n: i });
            assert.equal((await client.next()).n, i);
        }
        await set.stop();
    });

    test('that is going down says so to who is half-way in', { timeout }, async () => {
        const set = await startSet();
        set.gateways[0].signal('SIGSTOP');
        const late = await set.raw(); /* the kernel has taken it in, the gateway has not */
        late.write(handshake());
        set.gateways[0].signal('SIGTERM');
        set.gateways[0].signal('SIGCONT');
        const response = await late.response();
        assert.equal(response.status, 503);
        assert.equal((await set.gateways[0].ended).status, 0);
        set.gateways[0].isKilled = true;
        await set.stop();
    });

    test('whose backlog is full still answers plain requests', { timeout }, async () => {
        const flags = { 'backlog-max-bytes': BACKLOG_BYTES, 'outcome-timeout-ms': 3000 };
        const set = await startSet({ flags });
        const alice = await set.connect(0, 'alice');
        await set.broker.kill();
        await set.gateways[0].waitFor(/^warn link-down/);
        const text = 'x'.repeat(10000);
        for (let sent = 0; sent < 2 * BACKLOG_BYTES; sent += text.length) {
            alice.send({ type: 'call-start', to: 'bob', text });
        }
        const raw = await set.raw();
        raw.write(plainRequest({ target: '/healthz' }));
        assert.equal((await raw.response()).status, 503);
        assert.equal((await alice.next()).code, 'unavailable');
        await set.stop();
    });

    test('refuses limits that contradict one another', { timeout }, () => {
        const flags = ['--link-dir', '/nonexistent', '--slot', '0', '--listen', '127.0.0.1:0'];
        const { status, stderr } = spawnSync(
            join(binDir, 'switchboard-gateway'),
            [...flags, '--message-max-bytes', '1000000'],
            { encoding: 'utf8', timeout },
        );
        assert.equal(status, 1);
        assert.match(stderr, /^error start-failed .*--queue-max-bytes must be at least 1001\d{3} /m);
    });
});
