/* The client library against a real broker and two gateways: calls as the server manages them, seen
 * from the phones that take part. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';

import { Switchboard, inState, nextEvent, within } from './client_fakes.mjs';
import { startSet } from './harness.mjs';

const OPTIONS = { timeout: 60000 };
let set;
let names = 0;

before(async () => {
    set = await startSet({ gateways: 2 });
}, OPTIONS);
after(() => set?.stop(), OPTIONS);

/* Phones that end with the test: `phoneOf(name, device, slot)`, online. Names are its own. */
function startPhones(t, servers = set) {
    const phones = [];
    names += 1;
    const suffix = names;
    t.after(() => phones.forEach((phone) => phone.disconnect()));
    return async (name, deviceId, slot = 0) => {
        const phone = new Switchboard({
            url: servers.wsUrl(slot),
            userId: `${name}-${suffix}`,
            deviceId,
            WebSocket,
            verifyAfterMs: servers.graceMs,
        });
        phones.push(phone);
        phone.missed = [];
        phone.errors = [];
        phone.on('missed', (call) => phone.missed.push(call));
        phone.on('error', (error) => phone.errors.push(error));
        phone.connect();
        await inState(phone, 'online');
        return phone;
    };
}

/* alice, and bob's devices; alice calls him, and it rings at all of them. */
async function startRinging(t, devices, servers) {
    const phoneOf = startPhones(t, servers);
    const alice = await phoneOf('alice', 'a', 0);
    const bobs = [];
    for (const device of devices) {
        bobs.push(await phoneOf('bob', device, 1));
    }
    const incoming = bobs.map((bob) => nextEvent(bob, 'incoming'));
    const call = alice.call(bobs[0].userId, { video: false });
    const theirs = await Promise.all(incoming);
    await inState(call, 'ringing');
    return { phoneOf, alice, bobs, call, theirs };
}

async function ended(call) {
    if (call.state !== 'ended') {
        await nextEvent(call, 'ended');
    }
    return [call.result, call.reason];
}

describe('several devices', () => {
    test('the first that accepts has the call', OPTIONS, async (t) => {
        const { bobs, call, theirs } = await startRinging(t, ['b1', 'b2', 'b3']);
        const accepted = await Promise.all(theirs.map((each) => each.accept()));
        assert.equal(accepted.filter(Boolean).length, 1);
        const winner = theirs[accepted.indexOf(true)];
        await Promise.all([inState(call, 'connected'), inState(winner, 'connected')]);
        assert.equal(call.peerDevice, bobs[accepted.indexOf(true)].deviceId);
        for (const loser of theirs.filter((each) => each !== winner)) {
            assert.equal((await ended(loser))[0], 'answered-elsewhere');
        }
        assert.deepEqual(
            bobs.flatMap(({ missed }) => missed),
            [],
        );
    });

    test('one that rejects does so for all', OPTIONS, async (t) => {
        const { bobs, call, theirs } = await startRinging(t, ['b1', 'b2']);
        theirs[0].reject('busy');
        assert.deepEqual(await ended(call), ['rejected', 'busy']);
        assert.equal((await ended(theirs[1]))[0], 'rejected-elsewhere');
        assert.deepEqual(
            bobs.flatMap(({ missed }) => missed),
            [],
        );
    });

    test('one may reject for itself alone, until it is the last', OPTIONS, async (t) => {
        const { phoneOf, call, theirs } = await startRinging(t, ['b1']);
        const late = await phoneOf('bob', 'b2', 0);
        const joined = [...late.calls.values()][0] ?? (await nextEvent(late, 'incoming'));
        assert.ok(joined.expiresAt <= call.expiresAt + 1000, 'it has less time left');
        theirs[0].reject('not here', { deviceOnly: true });
        assert.equal(await joined.accept(), true);
        await inState(call, 'connected');
        assert.equal(call.peerDevice, 'b2');
    });
});

test('a call is hung up by either side', OPTIONS, async (t) => {
    for (const side of ['caller', 'callee']) {
        const { alice, bobs, call, theirs } = await startRinging(t, ['b']);
        await theirs[0].accept();
        await inState(call, 'connected');
        const [leaver, other] = side === 'caller' ? [call, theirs[0]] : [theirs[0], call];
        leaver.hangUp('bye');
        assert.deepEqual(await ended(other), ['completed', 'bye']);
        assert.deepEqual([...alice.errors, ...bobs[0].errors], []);
    }
});

test('a cancel and an accept at the same moment leave nobody behind', OPTIONS, async (t) => {
    for (let i = 0; i < 20; i++) {
        const { alice, bobs, call, theirs } = await startRinging(t, ['b']);
        const accepted = theirs[0].accept();
        call.cancel();
        await within('both to know', Promise.all([accepted, ended(call), ended(theirs[0])]));
        assert.equal(alice.calls.size + bobs[0].calls.size, 0);
        assert.deepEqual([...alice.errors, ...bobs[0].errors], []);
    }
});

test('who call each other are connected', OPTIONS, async (t) => {
    for (let i = 0; i < 20; i++) {
        const phoneOf = startPhones(t);
        const alice = await phoneOf('alice', 'a', 0);
        const bob = await phoneOf('bob', 'b', 1);
        const calls = [alice.call(bob.userId), bob.call(alice.userId)];
        const isConnected = async (phone) => {
            const answered = () => [...phone.calls.values()].find((call) => call.isAnswered);
            while (!answered()) {
                await nextEvent(phone, 'message');
            }
            await inState(answered(), 'connected');
            return answered();
        };
        const [ours, theirs] = await Promise.all([isConnected(alice), isConnected(bob)]);
        assert.equal(ours.id, theirs.id);
        const lost = calls.find((call) => call.id !== ours.id);
        assert.deepEqual(await ended(lost), ['glare', null]);
        assert.ok(lost.successor === ours || lost.successor === theirs);
        ours.hangUp();
        assert.equal((await ended(theirs))[0], 'completed');
        assert.deepEqual([...alice.errors, ...bob.errors], []);
    }
});

test('who has too many calls is told', OPTIONS, async (t) => {
    const phoneOf = startPhones(t);
    const alice = await phoneOf('alice', 'a');
    const bob = await phoneOf('bob', 'b');
    const calls = Array.from({ length: 17 }, () => alice.call(bob.userId));
    assert.equal((await ended(calls[16]))[0], 'too-many-calls');
    assert.equal(alice.calls.size, 16);
    const over = calls.slice(0, 16).map(ended);
    alice.disconnect();
    await Promise.all(over);
});

test('nobody by that name is there', OPTIONS, async (t) => {
    const phoneOf = startPhones(t);
    const alice = await phoneOf('alice', 'a');
    const call = alice.call('nobody');
    assert.deepEqual(await ended(call), ['user-offline', 'user-offline']);
    assert.equal(call.error.fromServer, true);
});

describe('a server of short patience', () => {
    let hasty;
    before(async () => {
        hasty = await startSet({
            gateways: 2,
            brokerFlags: { 'ring-ms': 300, 'call-grace-ms': 300 },
        });
        hasty.graceMs = 300;
    }, OPTIONS);
    after(() => hasty?.stop(), OPTIONS);

    test('ends a call that nobody answers', OPTIONS, async (t) => {
        const { bobs, call, theirs } = await startRinging(t, ['b1', 'b2'], hasty);
        assert.deepEqual(await ended(call), ['no-answer', 'no-answer']);
        assert.equal(call.endedBy, 'server');
        for (const [i, each] of theirs.entries()) {
            assert.deepEqual(await ended(each), ['missed', 'missed']);
            assert.deepEqual(bobs[i].missed, [each]);
        }
    });

    test('ends a call of which one side does not come back', OPTIONS, async (t) => {
        const { alice, call, theirs } = await startRinging(t, ['b'], hasty);
        await theirs[0].accept();
        await inState(call, 'connected');
        await hasty.gateways[0].kill();
        assert.deepEqual(await ended(theirs[0]), ['connection-lost', 'connection-lost']);
        await hasty.startGateway(0);
        await hasty.linked(0);
        alice.connect();
        assert.deepEqual(await ended(call), ['connection-lost', 'no-such-call']);
    });
});

test('a call outlives the gateway that carried it', OPTIONS, async (t) => {
    const { alice, call, theirs } = await startRinging(t, ['b']);
    await theirs[0].accept();
    await inState(call, 'connected');
    await set.gateways[0].kill();
    await inState(call, 'reconnecting');
    await set.startGateway(0);
    await set.linked(0);
    alice.connect();
    await inState(call, 'connected');
    call.hangUp('bye');
    assert.deepEqual(await ended(theirs[0]), ['completed', 'bye']);
});
