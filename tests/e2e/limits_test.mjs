/* The limits of one connection and of one gateway, each with a flag that makes it short. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { OPCODE, Refused, startSet } from './harness.mjs';

const timeout = 60000;
const TOO_LONG = 1009;
const IDLE = 4002;

/* A message of exactly that many bytes. */
function sized(to, bytes) {
    const empty = JSON.stringify({ type: 'call-offer', to, data: '' });
    return JSON.stringify({ type: 'call-offer', to, data: 'x'.repeat(bytes - empty.length) });
}

for (const limit of [65536, 200]) {
    test(`a message of ${limit} bytes passes, one more is 1009`, { timeout }, async () => {
        const set = await startSet({ flags: { 'message-max-bytes': limit } });
        const alice = await set.connect(0, 'alice');
        const bob = await set.connect(0, 'bob');
        alice.send(sized('bob', limit));
        const { text } = await bob.nextMessage();
        assert.equal(text.length, limit + '"from":"alice",'.length);
        alice.send(sized('bob', limit + 1));
        assert.equal((await alice.ended).code, TOO_LONG);
        await bob.fence();
        assert.equal(bob.inbox.length, 0);
        await set.stop();
    });
}

test('beyond its rate a client is read more slowly, and loses nothing', { timeout }, async () => {
    const rate = 400;
    const burst = 100;
    const count = 500;
    const set = await startSet({ flags: { 'rate-max-per-s': rate, 'rate-burst': burst } });
    const alice = await set.connect(0, 'alice');
    const bob = await set.connect(0, 'bob');
    const started = Date.now();
    /* Long ones, so that the kernel's buffers and one read hold only a part of them. */
    for (let id = 0; id < count; id++) {
        alice.send({ type: 'call-candidate', to: 'bob', id, data: 'x'.repeat(2000) });
    }
    for (let id = 0; id < count; id++) {
        assert.equal((await bob.next()).id, id);
    }
    const due = (1000 * (count - burst)) / rate;
    const took = Date.now() - started;
    assert.ok(took >= 0.8 * due, `it took ${took} ms, less than ${due} ms`);
    assert.equal(alice.inbox.length, 0);
    await set.stop();
});

test('a burst is not slowed down, nor anybody without a limit', { timeout }, async () => {
    const set = await startSet({ flags: { 'rate-max-per-s': 0 } });
    const alice = await set.connect(0, 'alice');
    for (let id = 0; id < 3000; id++) {
        alice.send({ type: 'call-candidate', to: 'alice', id });
    }
    for (let id = 0; id < 3000; id++) {
        assert.equal((await alice.next()).id, id);
    }
    await set.stop();
});

test('connections beyond the maximum get 503, until one leaves', { timeout }, async () => {
    const set = await startSet({ flags: { 'connections-max': 2 } });
    const alice = await set.connect(0, 'alice');
    const bob = await set.connect(0, 'bob');
    await assert.rejects(set.connect(0, 'carol'), (error) => {
        assert.ok(error instanceof Refused, error.message);
        assert.equal(error.status, 503);
        assert.match(error.headers['retry-after'], /^\d+$/);
        return true;
    });
    alice.send({ type: 'call-start', to: 'bob' });
    assert.equal((await bob.next()).from, 'alice');
    await bob.close();
    let carol;
    while (carol === undefined) {
        /* The gateway forgets bob's socket a moment after bob does. */
        carol = await set.connect(0, 'carol').catch((error) => {
            assert.equal(error.status, 503);
        });
    }
    carol.send({ type: 'call-start', to: 'alice' });
    assert.equal((await alice.next()).from, 'carol');
    await set.stop();
});

test('a client that answers pings stays, one that does not is 4002', { timeout }, async () => {
    const flags = { 'ping-interval-ms': 100, 'idle-timeout-ms': 600 };
    const set = await startSet({ flags });
    const answering = await set.connect(0, 'answering');
    const silent = await set.raw();
    await silent.open({ target: '/?userId=silent' });
    assert.equal((await silent.frame()).opcode, OPCODE.PING);
    const end = await silent.frame();
    assert.equal(end.opcode, OPCODE.CLOSE);
    assert.equal(end.code, IDLE);
    await silent.rest();
    const pings = answering.pings;
    assert.ok(pings > 0);
    while (answering.pings < pings + 8) {
        await new Promise((resolve) => answering.socket.once('ping', resolve));
    }
    await answering.fence();
    answering.send({ type: 'call-start', to: 'silent' });
    assert.equal((await answering.next()).code, 'user-offline');
    await set.stop();
});
