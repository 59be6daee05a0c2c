/* No message without an outcome, and none twice: while the broker dies, a user is away, a gateway
 * drains, a process stands still. What each of these may cost is in ARCHITECTURE.md. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { startSet } from './harness.mjs';

const timeout = 120000;
const GOING_AWAY = 1001;

/* Alice sends numbered messages to bob, a few in flight at a time, and keeps their outcomes. */
class Stream {
    constructor(sender, to = 'bob', inFlight = 32) {
        this.sender = sender;
        this.to = to;
        this.sent = 0;
        this.outcomes = [];
        this.isOver = false;
        this.run = this.#run(inFlight);
    }

    #send() {
        this.sender.send({ type: 'call-candidate', to: this.to, id: this.sent++ });
    }

    async #run(inFlight) {
        for (let i = 0; i < inFlight; i++) {
            this.#send();
        }
        while (this.outcomes.length < this.sent) {
            const outcome = await this.sender.next(({ type }) => type === 'ack' || type === 'error');
            this.outcomes.push(outcome);
            if (!this.isOver) {
                this.#send();
            }
        }
    }

    async reaches(count) {
        while (this.outcomes.length < count) {
            await new Promise((resolve) => setImmediate(resolve));
        }
    }

    /* Waits for every outcome; all of them must be acks, of each message one. */
    async stop() {
        this.isOver = true;
        await this.run;
        const ids = this.outcomes.map(({ type, id, code }) => (type === 'ack' ? id : code));
        assert.deepEqual(
            ids.toSorted((a, b) => a - b),
            [...Array(this.sent).keys()],
        );
    }
}

const idsOf = (client) => client.inbox.splice(0).map(({ data }) => data.id);

async function connectWithNews(set, slot, userId) {
    const client = await set.connect(slot, userId, { protocol: true });
    await client.nextOf('welcome');
    return client;
}

describe('a broker that is killed', () => {
    test('under a stream of messages loses none, doubles none', { timeout }, async () => {
        const set = await startSet({ gateways: 2 });
        const alice = await connectWithNews(set, 0, 'alice');
        const bob = await set.connect(1, 'bob');
        const stream = new Stream(alice);
        for (let round = 1; round <= 5; round++) {
            await stream.reaches(round * 300);
            await set.broker.kill();
            const marks = set.gateways.map((gateway) => gateway.mark());
            await set.startBroker();
            await Promise.all(marks.map((mark, slot) => set.linked(slot, mark)));
        }
        await stream.stop();
        await bob.fence();
        assert.deepEqual(idsOf(bob), [...Array(stream.sent).keys()]);
        await set.stop();
    });

    test('a gateway that is not back is waited for, not for ever', { timeout }, async () => {
        const set = await startSet({ gateways: 2, brokerFlags: { 'recovery-ms': 500 } });
        const alice = await connectWithNews(set, 0, 'alice');
        const bob = await set.connect(1, 'bob');
        set.gateways[1].signal('SIGSTOP');
        const mark = set.gateways[0].mark();
        await set.broker.kill();
        await set.gateways[0].waitFor(/link-down/, mark);
        alice.send({ type: 'call-start', to: 'bob', id: 'early' });
        await set.startBroker();
        const error = await alice.nextOf('error');
        assert.deepEqual([error.code, error.id], ['user-offline', 'early']);
        const frozen = set.gateways[1].mark();
        set.gateways[1].signal('SIGCONT');
        await set.linked(1, frozen);
        alice.send({ type: 'call-start', to: 'bob', id: 'back' });
        assert.equal((await bob.next()).id, 'back');
        await set.stop();
    });
});

describe('a user who is away for a moment', () => {
    test('gets everything when it is back, wherever that is', { timeout }, async () => {
        const set = await startSet({ gateways: 3 });
        const alice = await connectWithNews(set, 0, 'alice');
        let bob = await set.connect(1, 'bob');
        let next = 0;
        for (let round = 0; round < 20; round++) {
            /* A reset, or a close in good order; before the server knows of it or after. */
            if (round % 2 === 0) {
                bob.terminate();
            } else {
                await bob.close();
            }
            const first = next;
            for (let i = 0; i < 50; i++) {
                alice.send({ type: 'call-candidate', to: 'bob', id: next++ });
            }
            bob = await set.connect(round % 3, 'bob');
            for (let i = 0; i < 50; i++) {
                alice.send({ type: 'call-candidate', to: 'bob', id: next++ });
            }
            const outcomes = [];
            while (outcomes.length < next - first) {
                outcomes.push(await alice.next());
            }
            assert.deepEqual(outcomes.find(({ type }) => type !== 'ack'), undefined);
            /* What the kernel took for the connection that was reset is gone with it. */
            await bob.fence();
            const ids = idsOf(bob);
            const begin = ids[0];
            assert.ok(begin >= first && begin <= next - 50, `${begin} of ${first} to ${next}`);
            assert.deepEqual(
                ids,
                [...Array(next - begin).keys()].map((i) => begin + i),
            );
            if (round % 2 === 1) {
                assert.equal(begin, first, 'after a close in good order nothing is lost');
            }
        }
        await set.stop();
    });

    test('a user who stays away is offline', { timeout }, async () => {
        const set = await startSet({ gateways: 2, brokerFlags: { 'hold-ms': 300 } });
        const alice = await connectWithNews(set, 0, 'alice');
        const bob = await set.connect(1, 'bob');
        await bob.close();
        alice.send({ type: 'call-start', to: 'bob', id: 'm1' });
        const error = await alice.next();
        assert.deepEqual([error.code, error.id, error.to], ['user-offline', 'm1', 'bob']);
        await set.stop();
    });

    test('only so many messages wait for a user', { timeout }, async () => {
        const brokerFlags = { 'hold-messages-max': 10 };
        const set = await startSet({ gateways: 2, brokerFlags });
        const alice = await connectWithNews(set, 0, 'alice');
        let bob = await set.connect(1, 'bob');
        await bob.close();
        for (let id = 0; id < 15; id++) {
            alice.send({ type: 'call-candidate', to: 'bob', id });
        }
        for (let id = 10; id < 15; id++) {
            const error = await alice.next();
            assert.deepEqual([error.code, error.id], ['overloaded', id]);
        }
        bob = await set.connect(0, 'bob');
        await bob.fence();
        assert.deepEqual(idsOf(bob), [...Array(10).keys()]);
        await set.stop();
    });

    test('messages to several devices wait only while none is there', { timeout }, async () => {
        const set = await startSet({ gateways: 2 });
        const alice = await connectWithNews(set, 0, 'alice');
        const phone = await set.connect(0, 'bob', { deviceId: 'phone' });
        const laptop = await set.connect(1, 'bob', { deviceId: 'laptop' });
        await phone.close();
        alice.send({ type: 'call-start', to: 'bob', id: 1 });
        assert.equal((await laptop.next()).id, 1);
        assert.equal((await alice.next()).id, 1);
        await laptop.close();
        alice.send({ type: 'call-start', to: 'bob', id: 2 });
        const again = await set.connect(1, 'bob', { deviceId: 'phone' });
        assert.equal((await again.next()).id, 2);
        await set.stop();
    });
});

describe('a gateway that is told to end', () => {
    test('loses nothing for clients that come back', { timeout }, async () => {
        const set = await startSet({ gateways: 3 });
        const alice = await connectWithNews(set, 0, 'alice');
        let bob = await set.connect(1, 'bob');
        const stream = new Stream(alice);
        const received = [];
        for (let round = 1; round <= 4; round++) {
            const slot = 1 + ((round - 1) % 2);
            await stream.reaches(round * 200);
            set.gateways[slot].signal('SIGTERM');
            assert.equal((await bob.ended).code, GOING_AWAY);
            received.push(...idsOf(bob));
            bob = await set.connect(3 - slot, 'bob');
            await set.gateways[slot].ended;
            await set.startGateway(slot);
            await set.linked(slot);
        }
        await stream.stop();
        await bob.fence();
        received.push(...idsOf(bob));
        assert.deepEqual(received, [...Array(stream.sent).keys()]);
        await set.stop();
    });

    test('closes its clients batch by batch, and serves the others meanwhile', { timeout }, async () => {
        const set = await startSet({ gateways: 2, flags: { 'drain-ms': 60000 } });
        const users = [...Array(400).keys()].map((i) => `user-${i}`);
        const clients = await Promise.all(users.map((user) => set.connect(0, user)));
        set.gateways[0].signal('SIGTERM');
        await Promise.race(clients.map((client) => client.ended));
        const left = clients.filter((client) => client.socket.readyState === client.socket.OPEN);
        assert.ok(left.length >= 2, `${left.length} left`);
        const [carol, dave] = left.slice(-2);
        const message = { type: 'call-start', to: dave.userId, id: 'm1' };
        carol.send(message);
        /* Her turn may come before it is read: then she says it again, as clients do. */
        carol.ended.then(async () => (await set.connect(1, carol.userId)).send(message));
        /* Whoever's turn comes first, dave gets it, now or when he is back. */
        const isBack = dave.ended.then(() => set.connect(1, dave.userId));
        const got = await Promise.race([
            dave.nextOf('call-start').catch(() => isBack.then((again) => again.next())),
            isBack.then((again) => again.next()),
        ]);
        assert.equal(got.id, 'm1');
        const ends = await Promise.all(clients.map((client) => client.ended));
        assert.deepEqual([...new Set(ends.map(({ code }) => code))], [GOING_AWAY]);
        await set.gateways[0].ended;
        set.gateways.shift();
        set.ports.shift();
        await set.stop();
    });
});

describe('a process that stands still', () => {
    const flags = { 'outcome-timeout-ms': 1000 };

    test('a gateway delivers nothing late when it goes on', { timeout }, async () => {
        const set = await startSet({ gateways: 2, flags, brokerFlags: flags });
        const alice = await connectWithNews(set, 0, 'alice');
        const bob = await set.connect(1, 'bob');
        set.gateways[1].signal('SIGSTOP');
        alice.send({ type: 'call-start', to: 'bob', id: 'frozen' });
        const error = await alice.next();
        assert.deepEqual([error.code, error.id], ['unconfirmed', 'frozen']);
        set.gateways[1].signal('SIGCONT');
        alice.send({ type: 'call-start', to: 'bob', id: 'later' });
        assert.equal((await bob.next()).id, 'later');
        assert.equal((await alice.next()).type, 'ack');
        await set.stop();
    });

    test('a broker routes nothing late when it goes on', { timeout }, async () => {
        const set = await startSet({ gateways: 2, flags, brokerFlags: flags });
        const alice = await connectWithNews(set, 0, 'alice');
        const bob = await set.connect(1, 'bob');
        set.broker.signal('SIGSTOP');
        alice.send({ type: 'call-start', to: 'bob', id: 'frozen' });
        const error = await alice.next();
        assert.deepEqual([error.code, error.id], ['unconfirmed', 'frozen']);
        set.broker.signal('SIGCONT');
        alice.send({ type: 'call-start', to: 'bob', id: 'later' });
        assert.equal((await bob.next()).id, 'later');
        assert.equal((await alice.next()).type, 'ack');
        await set.stop();
    });

    test('a client that reads nothing until time is up is closed', { timeout }, async () => {
        const set = await startSet({ gateways: 2, flags, brokerFlags: flags });
        const alice = await connectWithNews(set, 0, 'alice');
        const slow = await set.raw(1);
        await slow.open({ target: '/?userId=slow' });
        slow.socket.pause();
        const data = 'x'.repeat(60000);
        let isBlocked = false;
        /* Until the kernel takes no more: what is queued behind that is never acked. */
        for (let id = 0; !isBlocked; id++) {
            alice.send({ type: 'call-candidate', to: 'slow', id, data });
            const outcome = await alice.next();
            isBlocked = outcome.type === 'error';
            /* The first of them may have been begun. */
            assert.ok(['ack', 'overloaded', 'unconfirmed'].includes(outcome.code ?? outcome.type));
        }
        slow.socket.resume();
        let last = await slow.frame();
        while (last.code === undefined) {
            last = await slow.frame();
        }
        assert.equal(last.code, 4001);
        await set.stop();
    });
});
