/* Hostile records on the link: they end the link, not the process, and nobody else notices. A
 * gateway made by hand talks to the broker; a broker made by hand talks to a gateway. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { newSet } from './harness.mjs';
import {
    FakeBroker,
    KIND,
    LinkPeer,
    VERSION,
    attach,
    deliver,
    hello,
    leg,
    ready,
    record,
    string,
    submit,
    synced,
    u16,
    u32,
    u64,
    welcome,
} from './link_peer.mjs';

const timeout = 60000;
const HUGE = 0x7fffffffffff;

const head = (kind, length) => Buffer.concat([u32(length), Buffer.from([kind])]);

/* Batches that no kind of peer may send. */
const malformed = {
    'a record cut in its head': Buffer.from([1, 0, 0]),
    'a record cut in its body': Buffer.concat([head(KIND.DETACH, 8), u32(1)]),
    'a record that claims 4 GiB': Buffer.concat([u32(0xffffffff), Buffer.from([2]), u64(1)]),
    'kind 0': record(0),
    'an unknown kind': record(16, u64(1)),
    'kind 255': record(255),
    'zeros': Buffer.alloc(64),
    'ones': Buffer.alloc(64, 0xff),
    'text': Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
};

const badForBroker = {
    ...malformed,
    'a detach with a byte too many': record(KIND.DETACH, u64(1), [0]),
    'a detach with a byte too few': record(KIND.DETACH, u32(1)),
    'an attach without a userId': record(KIND.ATTACH, u64(1), u64(1), [0], string(''), string('')),
    'a userId beyond its bound': attach(1, 'u'.repeat(129)),
    'a deviceId beyond its bound': attach(1, 'u', 'd'.repeat(65)),
    'a string that is longer than its record': record(KIND.ATTACH, u64(1), u64(1), [0], [100, 65]),
    'a submit of an unknown type': record(
        KIND.SUBMIT,
        ...[u64(1), u64(1), u64(1), [0], [9], string('bob'), string(''), '{}'],
    ),
    'an outcome out of range': record(KIND.DELIVERY_OUTCOME, u64(1), u64(1), u64(1), [200]),
    'a second hello': hello(),
    'a welcome': welcome(),
    'a deliver': deliver(1, 1, u64(1), '{}'),
    'a submit before it is told to': submit(1, 1, 'bob', '{}'),
    'a synced that says too much': record(KIND.SYNCED, [0]),
    'a second synced': Buffer.concat([synced(), synced()]),
    'a ready': ready(),
    'a retired': record(KIND.RETIRED, u64(1)),
    'a flag that is neither 0 nor 1': record(
        KIND.ATTACH,
        ...[u64(1), u64(1), [2], string('mallory'), string('')],
    ),
    'an evict': record(KIND.EVICT, u64(1), u16(4501)),
    'a good record before a bad one': Buffer.concat([attach(5, 'mallory'), record(0)]),
};

describe('a broker and a hostile gateway', () => {
    let set;
    let alice;
    let bob;
    before(async () => {
        /* Slot 0 has a gateway of ours, slot 1 only what the tests connect there. */
        set = newSet({ gateways: 2, brokerFlags: { 'recovery-ms': 0, 'hold-ms': 0 } });
        await set.startBroker();
        await set.startGateway(0);
        await set.linked(0);
        alice = await set.connect(0, 'alice');
        bob = await set.connect(0, 'bob');
    });
    after(() => set.stop());

    const dial = () => LinkPeer.dial(join(set.linkDir, 'slot-1.ipc'));

    /* Dials as long as the slot is still taken by the connection before. */
    async function dialAndGreet(greeting = hello()) {
        for (;;) {
            const peer = await dial();
            peer.send(greeting);
            try {
                await peer.next(KIND.WELCOME);
                return peer;
            } catch {
                peer.close();
            }
        }
    }

    async function checkOthers() {
        const tag = `${Math.random()}`;
        alice.send({ type: 'call-start', to: 'bob', tag });
        assert.equal((await bob.next()).tag, tag);
        alice.send({ type: 'call-start', to: 'mallory' });
        assert.equal((await alice.next()).code, 'user-offline');
    }

    for (const [name, batch] of Object.entries(badForBroker)) {
        test(`${name} ends the link`, { timeout }, async () => {
            const mark = set.broker.mark();
            const peer = await dialAndGreet();
            peer.send(batch);
            await peer.ended;
            await set.broker.waitFor(/link-malformed slot=1/, mark);
            await checkOthers();
        });
    }

    const unheard = {
        'an attach before any hello': attach(1, 'mallory'),
        'a hello of another version': record(KIND.HELLO, u16(VERSION + 1), u64(7)),
        'a hello without its end': record(KIND.HELLO, u16(VERSION)),
    };
    for (const [name, batch] of Object.entries(unheard)) {
        test(`${name} ends the link`, { timeout }, async () => {
            (await dialAndGreet()).close(); /* the slot is free or will be: wait for it so */
            const mark = set.broker.mark();
            let peer = await dial();
            peer.send(batch);
            await peer.ended;
            while (!set.broker.lines.slice(mark).some((line) => /link-malformed/.test(line))) {
                peer = await dial();
                peer.send(batch);
                await peer.ended;
            }
            await checkOthers();
        });
    }

    test('an nng message of absurd size ends the link', { timeout }, async () => {
        for (const length of [HUGE, 64 * 1024 * 1024]) {
            const peer = await dialAndGreet();
            peer.send(Buffer.from('x'), length);
            await peer.ended;
            await checkOthers();
        }
    });

    test('bytes that are no nng end the link', { timeout }, async () => {
        (await dialAndGreet()).close();
        for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\0SP\0\0\x99\0\0', '\0'.repeat(64)]) {
            const peer = await dial();
            peer.socket.write(bytes);
            await peer.ended;
        }
        await checkOthers();
    });

    test('a peer that speaks well is served', { timeout }, async () => {
        const peer = await dialAndGreet();
        peer.send(Buffer.concat([attach(1, 'carol'), attach(2, 'dave')]));
        assert.deepEqual((await peer.next(KIND.ATTACHED)).body, u64(1));
        assert.deepEqual((await peer.next(KIND.ATTACHED)).body, u64(2));
        peer.send(synced());
        await peer.next(KIND.READY);
        peer.send(submit(1, 1, 'bob', '{"from":"carol","type":"call-start","to":"bob"}'));
        assert.equal((await bob.next()).from, 'carol');
        assert.deepEqual((await peer.next(KIND.SUBMIT_OUTCOME)).body, Buffer.from([...u64(1), 0, 0]));
        alice.send({ type: 'call-start', to: 'dave', id: 'm1' });
        const { body } = await peer.next(KIND.DELIVER);
        assert.match(body.toString('latin1'), /"from":"alice"/);
        /* It ends with the delivery unanswered. */
        peer.close();
        const error = await alice.next();
        assert.deepEqual([error.code, error.id], ['unconfirmed', 'm1']);
        await checkOthers();
    });

    test('late and foreign news is taken for what it is', { timeout }, async () => {
        const peer = await dialAndGreet();
        peer.send(
            Buffer.concat([
                record(KIND.DETACH, u64(999)),
                record(KIND.DELIVERY_OUTCOME, u64(1), u64(2), u64(3), [0]),
                attach(1, 'erin'),
            ]),
        );
        assert.deepEqual((await peer.next(KIND.ATTACHED)).body, u64(1));
        peer.close();
        await checkOthers();
    });
});

const badForGateway = {
    ...malformed,
    'a second welcome': welcome(),
    'a hello': hello(),
    'an attach': attach(1, 'mallory'),
    'an attached with a byte too many': record(KIND.ATTACHED, u64(1), [0]),
    'a deliver without its end': record(KIND.DELIVER, u64(1), u64(1)),
    'a second ready': ready(),
    'a synced': synced(),
    'the retirement of a session that stays': 'retired',
    'an outcome out of range': record(KIND.SUBMIT_OUTCOME, u64(1), [16], string('')),
    'an outcome without its detail': record(KIND.SUBMIT_OUTCOME, u64(1), [0]),
    'the outcome of what was never submitted': record(
        KIND.SUBMIT_OUTCOME,
        ...[u64(99999), [0], string('')],
    ),
    'a leg without a callId': leg(u64(1), '', 'x'),
    'a leg with a state beyond its bound': leg(u64(1), 'c', 'x'.repeat(425)),
    'an evict without its code': record(KIND.EVICT, u64(1)),
    'a good record before a bad one': Buffer.concat([
        record(KIND.ATTACHED, u64(12345)),
        record(0),
    ]),
};

describe('a gateway and a hostile broker', () => {
    let set;
    let broker;
    let peer;
    let alice;
    let session;
    let lastSeq = 0;

    /* What the broker hears of alice; her session keeps its id over all links. */
    async function takeAttach() {
        const { body } = await peer.next(KIND.ATTACH);
        peer.send(record(KIND.ATTACHED, body.subarray(0, 8)));
        if (session !== undefined) {
            await peer.next(KIND.SYNCED);
            peer.send(ready());
        }
        return body.subarray(0, 8);
    }

    before(async () => {
        set = newSet();
        mkdirSync(set.linkDir);
        broker = await FakeBroker.listen(join(set.linkDir, 'slot-0.ipc'));
        await set.startGateway(0);
        peer = await broker.acceptAndGreet();
        await peer.next(KIND.SYNCED);
        peer.send(ready());
        const connecting = set.connect(0, 'alice');
        session = await takeAttach();
        alice = await connecting;
    });
    after(async () => {
        broker.close();
        await set.stop();
    });

    async function checkAlice() {
        const payload = `{"from":"x","type":"call-start","to":"alice","n":${Math.random()}}`;
        peer.send(deliver(9, ++lastSeq, session, payload));
        assert.equal((await alice.nextMessage()).text, payload);
        const outcome = await peer.next(KIND.DELIVERY_OUTCOME);
        assert.equal(outcome.body.at(-1), 0);
    }

    for (const [name, batch] of Object.entries(badForGateway)) {
        test(`${name} ends the link, and the gateway dials again`, { timeout }, async () => {
            await checkAlice();
            const mark = set.gateways[0].mark();
            peer.send(batch === 'retired' ? record(KIND.RETIRED, session) : batch);
            await peer.ended;
            peer = await broker.acceptAndGreet();
            await set.gateways[0].waitFor(/link-malformed/, mark);
            assert.deepEqual(await takeAttach(), session);
            await checkAlice();
        });
    }

    const unheard = {
        'a deliver before the welcome': deliver(1, 1, u64(1), '{}'),
        'a welcome of another version': record(KIND.WELCOME, u16(9), u64(1)),
    };
    for (const [name, batch] of Object.entries(unheard)) {
        test(`${name} ends the link`, { timeout }, async () => {
            peer.close();
            peer = await broker.accept();
            await peer.next(KIND.HELLO);
            peer.send(batch);
            await peer.ended;
            peer = await broker.acceptAndGreet();
            assert.deepEqual(await takeAttach(), session);
            await checkAlice();
        });
    }

    test('an nng message of absurd size ends the link', { timeout }, async () => {
        peer.send(Buffer.from('x'), HUGE);
        await peer.ended;
        peer = await broker.acceptAndGreet();
        assert.deepEqual(await takeAttach(), session);
        await checkAlice();
    });

    test('news of what is not there is no mistake', { timeout }, async () => {
        peer.send(
            Buffer.concat([
                record(KIND.ATTACHED, u64(12345)),
                record(KIND.EVICT, u64(12345), u16(4501)),
                leg(u64(12345), 'c', 'x'),
                deliver(1, 2, u64(12345), '{}'),
            ]),
        );
        const { body } = await peer.next(KIND.DELIVERY_OUTCOME);
        assert.notEqual(body.at(-1), 0);
        await checkAlice();
    });

    test('a repeat is answered, and not delivered again', { timeout }, async () => {
        const payload = '{"from":"x","type":"call-start","to":"alice","n":1}';
        const again = deliver(8, 7, session, payload, { isRepeat: true });
        for (const batch of [deliver(8, 7, session, payload), again, again]) {
            peer.send(batch);
            const { body } = await peer.next(KIND.DELIVERY_OUTCOME);
            assert.deepEqual(body.subarray(0, 16), Buffer.concat([u64(8), u64(7)]));
            assert.equal(body.at(-1), 0);
        }
        assert.equal((await alice.next()).n, 1);
        await checkAlice();
        assert.equal(alice.inbox.length, 0);
    });

    test('the parts that a session has in calls are told to the next broker', { timeout }, async () => {
        const told = leg(session, 'c-1', 'the state');
        const over = Buffer.concat([leg(session, 'c-2', 'x'), leg(session, 'c-2', '')]);
        peer.send(Buffer.concat([told, over]));
        await checkAlice();
        peer.close();
        peer = await broker.acceptAndGreet();
        await peer.next(KIND.ATTACH);
        const { kind, body } = await peer.next(KIND.LEG);
        assert.deepEqual(record(kind, body), told);
        await peer.next(KIND.SYNCED);
        peer.send(Buffer.concat([leg(session, 'c-1', ''), record(KIND.ATTACHED, session), ready()]));
        await checkAlice();
    });

    test('an evict closes its session', { timeout }, async () => {
        peer.send(record(KIND.EVICT, session, u16(4501)));
        assert.equal((await alice.ended).code, 4501);
    });
});
