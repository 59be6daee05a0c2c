/* What becomes of a message: each code that a sender can hear, and the good news that only those
 * hear who asked for it. Bad messages are in json_test, full queues in slow_reader_test. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Refused, newSet, startSet } from './harness.mjs';

const timeout = 60000;
const OUTCOME_TIMEOUT_MS = 1000;
const flags = { 'outcome-timeout-ms': OUTCOME_TIMEOUT_MS };

async function health(set, slot = 0) {
    const response = await fetch(`${set.httpUrl(slot)}/healthz`);
    return response.status;
}

describe('with all processes up', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 2 });
    });
    after(() => set.stop());

    test('nobody by that name: user-offline', { timeout }, async () => {
        const alice = await set.connect(0, 'alice');
        alice.send({ type: 'call-start', to: 'nobody', id: 'm1' });
        const { message, ...error } = await alice.next();
        const code = 'user-offline';
        assert.deepEqual(error, { type: 'error', code, to: 'nobody', id: 'm1' });
        assert.ok(message.length > 10);
        alice.terminate();
    });

    test('with the subprotocol: welcome, and an ack for what has an id', { timeout }, async () => {
        const alice = await set.connect(0, 'alice', { deviceId: 'phone', protocol: true });
        const bob = await set.connect(1, 'bob', { protocol: true });
        const { sessionId, ...welcome } = await alice.next();
        assert.deepEqual(welcome, { type: 'welcome', userId: 'alice', deviceId: 'phone' });
        assert.match(sessionId, /^[0-9a-f]+-[0-9a-f]+$/);
        const other = await bob.nextOf('welcome');
        assert.equal(other.deviceId, '');
        assert.notEqual(other.sessionId.split('-')[0], sessionId.split('-')[0]);
        for (const id of ['"a\\u0062"', '17', '-0', '12345678901234567890', '""']) {
            alice.send(`{"type":"call-start","to":"bob","id":${id}}`);
            const ack = await alice.nextMessage();
            assert.equal(ack.data.type, 'ack');
            assert.equal(ack.data.to, 'bob');
            assert.ok(ack.text.includes(`"id":${id}`), ack.text);
            await bob.nextOf('call-start');
        }
        alice.send({ type: 'call-start', to: 'bob' });
        await alice.fence();
        await alice.fence();
        assert.equal(alice.inbox.length, 0);
        alice.terminate();
        bob.terminate();
    });

    test('without it: nothing unasked', { timeout }, async () => {
        const alice = await set.connect(0, 'alice');
        const bob = await set.connect(1, 'bob');
        alice.send({ type: 'call-start', to: 'bob', id: 'm1' });
        assert.equal((await bob.next()).id, 'm1');
        await alice.fence();
        await alice.fence();
        await bob.fence();
        assert.equal(alice.inbox.length, 0);
        assert.equal(bob.inbox.length, 0);
        alice.terminate();
        bob.terminate();
    });

    test('errors come under the subprotocol as well, without an ack', { timeout }, async () => {
        const alice = await set.connect(0, 'alice', { protocol: true });
        await alice.nextOf('welcome');
        alice.send({ type: 'call-start', to: 'nobody', id: 'm1' });
        assert.equal((await alice.next()).code, 'user-offline');
        await alice.fence();
        await alice.fence();
        assert.equal(alice.inbox.length, 0);
        alice.terminate();
    });
});

describe('the target\'s gateway dies with a message under way', () => {
    test('unconfirmed', { timeout }, async () => {
        const set = await startSet({ gateways: 2, brokerFlags: { 'hold-ms': 0 } });
        const alice = await set.connect(0, 'alice', { protocol: true });
        const bob = await set.connect(1, 'bob');
        alice.send({ type: 'call-start', to: 'bob', id: 'before' });
        assert.equal((await alice.nextOf('ack')).id, 'before');
        set.gateways[1].signal('SIGSTOP');
        alice.send({ type: 'call-start', to: 'bob', id: 'during' });
        /* Delivered to ourselves behind it: the broker has handed it to the frozen gateway. */
        await alice.fence();
        await set.gateways[1].kill();
        const error = await alice.nextOf('error');
        assert.deepEqual([error.code, error.id, error.to], ['unconfirmed', 'during', 'bob']);
        await bob.ended;
        alice.send({ type: 'call-start', to: 'bob', id: 'after' });
        assert.equal((await alice.nextOf('error')).code, 'user-offline');
        await set.startGateway(1);
        await set.linked(1);
        const again = await set.connect(1, 'bob');
        alice.send({ type: 'call-start', to: 'bob', id: 'again' });
        assert.equal((await again.next()).id, 'again');
        await set.stop();
    });

    test('unconfirmed, when it only freezes', { timeout }, async () => {
        const set = await startSet({ gateways: 2, flags, brokerFlags: flags });
        const alice = await set.connect(0, 'alice');
        await set.connect(1, 'bob');
        set.gateways[1].signal('SIGSTOP');
        alice.send({ type: 'call-start', to: 'bob', id: 'frozen' });
        const error = await alice.nextOf('error');
        assert.deepEqual([error.code, error.id], ['unconfirmed', 'frozen']);
        set.gateways[1].signal('SIGCONT');
        await set.stop();
    });
});

describe('without a broker', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 2, flags });
    });
    after(() => set.stop());

    test('clients stay, messages wait, then: unavailable', { timeout }, async () => {
        const alice = await set.connect(0, 'alice', { protocol: true });
        const bob = await set.connect(1, 'bob', { protocol: true });
        assert.equal(await health(set), 200);
        const marks = set.gateways.map((gateway) => gateway.mark());
        await set.broker.kill();
        await Promise.all(set.gateways.map((each, i) => each.waitFor(/link-down/, marks[i])));
        assert.equal(await health(set), 503);

        const sent = Date.now();
        alice.send({ type: 'call-start', to: 'bob', id: 'lost' });
        const error = await alice.nextOf('error');
        assert.deepEqual([error.code, error.id, error.to], ['unavailable', 'lost', 'bob']);
        assert.ok(Date.now() - sent >= OUTCOME_TIMEOUT_MS - 50, 'it waited for the deadline');

        const links = set.gateways.map((gateway) => gateway.mark());
        await set.startBroker();
        await Promise.all(set.gateways.map((_, slot) => set.linked(slot, links[slot])));
        assert.equal(await health(set), 200);
        alice.send({ type: 'call-start', to: 'bob', id: 'back' });
        assert.equal((await bob.nextOf('call-start')).id, 'back');
        assert.equal((await alice.nextOf('ack')).id, 'back');
        assert.equal(bob.inbox.filter((message) => message.data.type === 'error').length, 0);
    });

    test('a message that waited reaches its target when it is back', { timeout }, async () => {
        const patient = await startSet({ gateways: 1 });
        const alice = await patient.connect(0, 'alice', { protocol: true });
        const mark = patient.gateways[0].mark();
        await patient.broker.kill();
        await patient.gateways[0].waitFor(/link-down/, mark);
        for (let i = 0; i < 100; i++) {
            alice.send({ type: 'call-candidate', to: 'alice', id: i });
        }
        await patient.startBroker();
        for (let i = 0; i < 100; i++) {
            assert.equal((await alice.nextOf('call-candidate')).id, i);
        }
        for (let i = 0; i < 100; i++) {
            assert.equal((await alice.nextOf('ack')).id, i);
        }
        await patient.stop();
    });

    test('a frozen broker: unconfirmed', { timeout }, async () => {
        const alice = await set.connect(0, 'alice2');
        await alice.fence();
        set.broker.signal('SIGSTOP');
        alice.send({ type: 'call-start', to: 'alice2', id: 'm1' });
        /* The fence's own outcome may be caught by the frost as well. */
        const error = await alice.next(({ id }) => id === 'm1');
        assert.equal(error.code, 'unconfirmed');
        set.broker.signal('SIGCONT');
        await alice.fence();
    });
});

describe('order of starting', () => {
    test('gateways first: a handshake waits for the broker', { timeout }, async () => {
        const set = newSet({ gateways: 2 });
        await set.startGateway(0);
        await set.startGateway(1);
        assert.equal(await health(set), 503);
        const connecting = [set.connect(0, 'alice'), set.connect(1, 'bob')];
        await set.startBroker();
        const [alice, bob] = await Promise.all(connecting);
        alice.send({ type: 'call-start', to: 'bob' });
        assert.equal((await bob.next()).from, 'alice');
        assert.equal(await health(set), 200);
        await set.stop();
    });

    test('no broker at all: 503 when the time of a head is over', { timeout }, async () => {
        const set = newSet({ flags: { 'head-timeout-ms': 300 } });
        await set.startGateway();
        await assert.rejects(set.connect(0, 'alice'), (error) => {
            assert.ok(error instanceof Refused, error.message);
            assert.equal(error.status, 503);
            assert.match(error.headers['retry-after'], /^\d+$/);
            return true;
        });
        const page = await fetch(`${set.httpUrl()}/`);
        assert.equal(page.status, 200);
        await set.stop();
    });
});
