/* A client that reconnects 1,000 times under one name, in every way in which a connection can end,
 * while messages keep coming: once its handshake has succeeded, what is sent to it reaches it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startSet } from './harness.mjs';

const ROUNDS = 1000;

/* How the old connection ends, seen from the new one: each a way to strand a name. */
const departures = [
    async (old) => old.terminate() /* a reset, perhaps after the new attach */,
    async (old) => void old.close() /* a close under way while the new one attaches */,
    async (old) => old.close() /* in good order, before */,
    async () => {} /* not at all: the server replaces it */,
];

/* Sends without pause, a few in flight at a time, until it is told to stop. */
function startStream(sender) {
    let isOver = false;
    let outcomes = 0;
    const run = (async () => {
        while (!isOver) {
            for (let i = 0; i < 4; i++) {
                sender.send({ type: 'call-candidate', to: 'bob', id: i });
            }
            for (let i = 0; i < 4; i++) {
                const outcome = await sender.next();
                if (outcome.type === 'error') {
                    assert.ok(['user-offline', 'unconfirmed'].includes(outcome.code), outcome.code);
                }
                outcomes++;
            }
        }
    })();
    return {
        async stop() {
            isOver = true;
            await run;
            return outcomes;
        },
    };
}

test('1,000 reconnects never strand the name', { timeout: 180000 }, async () => {
    const set = await startSet({ gateways: 3 });
    const alice = await set.connect(0, 'alice');
    const streamer = await set.connect(2, 'carol', { protocol: true });
    await streamer.nextOf('welcome');
    const stream = startStream(streamer);
    let bob = await set.connect(0, 'bob');
    for (let round = 0; round < ROUNDS; round++) {
        const old = bob;
        const departure = departures[round % departures.length];
        await departure(old);
        bob = await set.connect((round * 7) % 3, 'bob');
        const tag = `round-${round}`;
        alice.send({ type: 'call-start', to: 'bob', tag });
        assert.equal((await bob.nextOf('call-start')).tag, tag);
        bob.inbox.length = 0;
    }
    assert.ok((await stream.stop()) > 0);
    await alice.fence();
    assert.equal(alice.inbox.length, 0, JSON.stringify(alice.inbox[0]?.data));
    const health = await (await fetch(`${set.httpUrl(1)}/healthz`)).json();
    assert.equal(health.status, 'ok');
    await set.stop();
});
