/* Several devices of one user, on several gateways; and a newer connection of the same device. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startSet } from './harness.mjs';

const timeout = 30000;
const REPLACED = 4501;

describe('devices', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 2 });
    });
    after(() => set.stop());

    async function connectBob(slot, deviceId) {
        return set.connect(slot, 'bob', { deviceId });
    }

    test('a message reaches each device once, and is acked once', { timeout }, async () => {
        const alice = await set.connect(0, 'alice', { protocol: true });
        await alice.nextOf('welcome');
        const devices = [
            await connectBob(0, undefined),
            await connectBob(0, 'phone'),
            await connectBob(1, 'laptop'),
            await connectBob(1, 'Phone'),
        ];
        for (let id = 0; id < 50; id++) {
            alice.send({ type: 'call-candidate', to: 'bob', id });
        }
        for (const device of devices) {
            for (let id = 0; id < 50; id++) {
                assert.equal((await device.next()).id, id);
            }
        }
        const acked = [];
        for (let id = 0; id < 50; id++) {
            acked.push((await alice.next()).id);
        }
        assert.deepEqual(
            acked.sort((a, b) => a - b),
            [...Array(50).keys()],
        );
        await alice.fence();
        await alice.fence();
        assert.equal(alice.inbox.length, 0);
        [alice, ...devices].forEach((client) => client.terminate());
        await Promise.all(devices.map((device) => device.ended));
    });

    for (const [name, first, second] of [
        ['on the same gateway', 0, 0],
        ['on another gateway', 0, 1],
    ]) {
        test(`a newer connection replaces the same device ${name}`, { timeout }, async () => {
            const old = await connectBob(first, 'phone');
            const other = await connectBob(first, 'laptop');
            const fresh = await connectBob(second, 'phone');
            const { code, reason } = await old.ended;
            assert.equal(code, REPLACED);
            assert.ok(reason.length > 0);
            const alice = await set.connect(1, 'alice');
            alice.send({ type: 'call-start', to: 'bob', tag: name });
            assert.equal((await fresh.next()).tag, name);
            assert.equal((await other.next()).tag, name);
            [alice, other, fresh].forEach((client) => client.terminate());
            await Promise.all([other.ended, fresh.ended]);
        });
    }

    test('the device without a name is a device like any other', { timeout }, async () => {
        const old = await connectBob(0, undefined);
        const named = await connectBob(1, 'phone');
        const fresh = await connectBob(1, '');
        assert.equal((await old.ended).code, REPLACED);
        await named.fence();
        await fresh.next();
        [named, fresh].forEach((client) => client.terminate());
        await Promise.all([named.ended, fresh.ended]);
    });

    test('many at once for one device: one is left', { timeout }, async () => {
        const connecting = Array.from({ length: 40 }, (_, i) => connectBob(i % 2, 'phone'));
        const clients = await Promise.all(connecting);
        const codes = [];
        await new Promise((resolve) => {
            clients.forEach(async (client) => {
                const { code } = await client.ended;
                codes.push(code);
                if (codes.length === clients.length - 1) {
                    resolve();
                }
            });
        });
        assert.deepEqual(codes, Array(clients.length - 1).fill(REPLACED));
        const survivor = clients.find((client) => client.socket.readyState === 1);
        const alice = await set.connect(0, 'alice');
        alice.send({ type: 'call-start', to: 'bob' });
        assert.equal((await survivor.next()).from, 'alice');
        alice.terminate();
        const { code } = await survivor.close();
        assert.equal(code, 1000);
    });
});
