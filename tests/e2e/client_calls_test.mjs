/* The client library's calls, without sound and picture: their states follow the server's word. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { inState, nextEvent, startWorld } from './client_fakes.mjs';

const OPTIONS = { timeout: 60000 };

/* What became of a call: [state, result, reason, endedBy]. */
const fateOf = ({ state, result, reason, endedBy }) => [state, result, reason, endedBy];

/* A world in which alice is online. */
async function startAlice(t, options) {
    const world = await startWorld(t);
    return { ...world, ...(await world.goOnline({ userId: 'alice', deviceId: 'a', ...options })) };
}

/* Everything that the server has said before has been dealt with once this resolves. */
async function fence({ phone, connection }) {
    const sent = phone.send({ type: 'call-candidate', to: 'alice' });
    for (;;) {
        const message = await connection.take('call-candidate');
        if (message.callId === undefined) {
            break;
        }
    }
    await sent;
}

/* An outgoing call to bob whose call-start has arrived. */
async function startOutgoing(t, options) {
    const world = await startAlice(t);
    const call = world.phone.call('bob', options);
    const start = await world.connection.take('call-start');
    const say = (type, members) =>
        world.connection.say({ type, from: 'bob', fromDevice: 'b', callId: call.id, ...members });
    return { ...world, call, start, say };
}

/* The same, accepted. */
async function startConnected(t) {
    const world = await startOutgoing(t);
    world.say('call-accept');
    await inState(world.call, 'connected');
    return world;
}

/* An incoming call of bob's that rings. */
async function startIncoming(t, members = {}) {
    const world = await startAlice(t);
    const missed = [];
    world.phone.on('missed', (call) => missed.push(call));
    const incoming = nextEvent(world.phone, 'incoming');
    const say = (type, more) =>
        world.connection.say({ type, from: 'bob', fromDevice: 'b', callId: 'c-1', ...more });
    say('call-start', { id: 1, expiresInMs: 60000, video: true, ...members });
    const call = await incoming;
    await world.connection.take('call-ringing');
    return { ...world, call, say, missed };
}

describe('an outgoing call', OPTIONS, () => {
    test('is calling, ringing, connected', async (t) => {
        const { phone, clock, call, start, say } = await startOutgoing(t, { data: 'hello' });
        assert.match(start.callId, /^[0-9a-f]{32}$/);
        assert.deepEqual(
            [start.to, start.callId, start.video, start.audio, start.data, start.media],
            ['bob', call.id, true, true, 'hello', 'none'],
        );
        assert.deepEqual([call.state, call.direction, call.peer], ['calling', 'outgoing', 'bob']);
        assert.equal(phone.calls.get(call.id), call);
        say('call-ringing');
        await inState(call, 'ringing');
        assert.deepEqual([call.isAnswered, call.peerDevice], [false, null]);
        await clock.pass(2000);
        say('call-accept');
        await inState(call, 'connected');
        assert.deepEqual([call.isAnswered, call.peerDevice], [true, 'b']);
        assert.equal(call.answeredAt - call.startedAt, 2000);
    });

    test('is a new call to those who listen', async (t) => {
        const { phone } = await startAlice(t);
        const calls = [];
        phone.on('call', (call) => calls.push(call));
        const call = phone.call('bob');
        assert.deepEqual(calls, [call]);
        assert.throws(() => phone.call(''), { code: 'bad-name' });
        assert.throws(() => phone.call('bob', { data: 1n }), TypeError);
        assert.equal(phone.calls.size, 1);
    });

    for (const [name, message, fate] of [
        ['a reject', { type: 'call-reject', reason: 'busy' }, ['rejected', 'busy', 'peer']],
        ['a reject without a reason', { type: 'call-reject' }, ['rejected', null, 'peer']],
        ['an end before the answer', { type: 'call-end' }, ['rejected', null, 'peer']],
        ...['no-answer', 'unreachable', 'connection-lost'].map((reason) => [
            `the server's ${reason}`,
            { type: 'call-end', reason, server: true },
            [reason, reason, 'server'],
        ]),
    ]) {
        test(`is over after ${name}`, async (t) => {
            const { phone, call, say } = await startOutgoing(t);
            say(message.type, message);
            await nextEvent(call, 'ended');
            assert.deepEqual(fateOf(call), ['ended', ...fate]);
            assert.equal(phone.calls.size, 0);
        });
    }

    for (const code of [
        'user-offline',
        'too-many-calls',
        'call-exists',
        'overloaded',
        'unavailable',
    ]) {
        test(`is over when its start is refused: ${code}`, async (t) => {
            const world = await startAlice(t);
            const call = world.phone.call('bob');
            world.connection.refuse(await world.connection.next('call-start'), code);
            await nextEvent(call, 'ended');
            assert.deepEqual(fateOf(call), ['ended', code, code, 'server']);
            assert.equal(call.error.message, `a sentence on ${code}`);
            await fence(world);
            assert.deepEqual(world.connection.inbox, []);
        });
    }

    test('that may be ringing all the same is cancelled', async (t) => {
        const { phone, connection } = await startAlice(t);
        const call = phone.call('bob');
        connection.refuse(await connection.next('call-start'), 'unconfirmed');
        assert.equal((await connection.take('call-cancel')).callId, call.id);
        assert.equal(call.result, 'unconfirmed');
    });

    test('that rings is not over because its start is unconfirmed', async (t) => {
        const world = await startAlice(t);
        const call = world.phone.call('bob');
        const start = await world.connection.next('call-start');
        world.connection.say({ type: 'call-ringing', from: 'bob', callId: call.id });
        world.connection.refuse(start, 'unconfirmed');
        await fence(world);
        assert.equal(call.state, 'ringing');
    });

    test('is cancelled', async (t) => {
        const { connection, call } = await startOutgoing(t);
        call.end('changed my mind');
        const cancel = await connection.take('call-cancel');
        assert.deepEqual([cancel.callId, cancel.reason], [call.id, 'changed my mind']);
        assert.deepEqual(fateOf(call), ['ended', 'cancelled', 'changed my mind', 'self']);
    });

    test('that nobody has heard of is cancelled without a word', async (t) => {
        const world = await startWorld(t);
        const phone = world.makePhone();
        const call = phone.call('bob');
        call.cancel();
        assert.equal(call.result, 'cancelled');
        phone.connect();
        const connection = await world.server.connection();
        await fence({ phone, connection });
        assert.deepEqual(connection.inbox, []);
    });

    test('that was answered while it was cancelled is ended', async (t) => {
        const { connection, call, say } = await startOutgoing(t);
        call.cancel();
        const cancel = await connection.next('call-cancel');
        say('call-accept');
        connection.refuse(cancel, 'already-answered');
        assert.equal((await connection.take('call-end')).callId, call.id);
        assert.equal(call.result, 'cancelled');
    });

    test('does not ring for ever, even if the server is gone', async (t) => {
        const world = await startOutgoing(t);
        const { server, clock, connection, call } = world;
        await fence(world);
        server.refusesWith = 503;
        connection.terminate();
        await clock.pass(61500);
        assert.deepEqual(fateOf(call), ['ended', 'no-answer', 'no-answer', 'self']);
    });

    test('without a connection waits for one, for a while', async (t) => {
        const world = await startWorld(t);
        const phone = world.makePhone();
        const first = phone.call('bob');
        phone.connect();
        const connection = await world.server.connection();
        assert.equal((await connection.take('call-start')).callId, first.id);
        phone.disconnect();
        const second = phone.call('bob');
        await nextEvent(second, 'ended');
        assert.equal(second.result, 'stopped');
        const third = world.makePhone().call('bob');
        await world.clock.pass(15000);
        assert.equal(third.result, 'not-sent');
    });
});

describe('an incoming call', OPTIONS, () => {
    test('rings, and says so once', async (t) => {
        const world = await startIncoming(t, { data: [1], audio: true });
        const { phone, clock, connection, call, say } = world;
        assert.deepEqual(
            [call.id, call.peer, call.peerDevice, call.direction, call.state],
            ['c-1', 'bob', 'b', 'incoming', 'ringing'],
        );
        assert.deepEqual([call.audio, call.video, call.data], [true, true, [1]]);
        assert.equal(call.expiresAt, clock.now() + 60000);
        assert.equal(phone.calls.get('c-1'), call);
        say('call-start', { id: 2 });
        await fence(world);
        assert.deepEqual(connection.inbox, []);
    });

    test('is accepted when the server says so', async (t) => {
        const { connection, call } = await startIncoming(t);
        const accepted = call.accept({ video: false });
        assert.equal(call.accept(), accepted);
        assert.deepEqual([call.state, call.answeredAt], ['connecting', null]);
        const accept = await connection.next('call-accept');
        assert.deepEqual([accept.to, accept.callId, accept.video], ['bob', 'c-1', false]);
        connection.ack(accept);
        assert.equal(await accepted, true);
        assert.equal(call.state, 'connected');
        assert.notEqual(call.answeredAt, null);
    });

    test('is accepted also if it turns out that it was', async (t) => {
        const { connection, call } = await startIncoming(t);
        const accepted = call.accept();
        const accept = await connection.next('call-accept');
        connection.refuse(accept, 'bad-state', { state: 'answered' });
        assert.equal(await accepted, true);
        assert.equal(call.state, 'connected');
    });

    for (const [code, result, misses] of [
        ['answered-elsewhere', 'answered-elsewhere', 0],
        ['no-such-call', 'cancelled', 1],
        ['not-in-call', 'cancelled', 1],
    ]) {
        test(`is lost when the accept is refused: ${code}`, async (t) => {
            const { connection, call, missed } = await startIncoming(t);
            const accepted = call.accept();
            connection.refuse(await connection.next('call-accept'), code);
            assert.equal(await accepted, false);
            assert.deepEqual(fateOf(call), ['ended', result, code, 'server']);
            assert.equal(missed.length, misses);
        });
    }

    test('whose accept is unconfirmed is ended for both', async (t) => {
        const { connection, call } = await startIncoming(t);
        const accepted = call.accept();
        connection.refuse(await connection.next('call-accept'), 'unconfirmed');
        assert.equal((await connection.take('call-end')).reason, 'unconfirmed');
        assert.equal(await accepted, false);
        assert.equal(call.result, 'unconfirmed');
    });

    test('is rejected, everywhere or here', async (t) => {
        const { connection, call } = await startIncoming(t);
        call.reject('busy', { deviceOnly: true });
        const here = await connection.take('call-reject');
        assert.deepEqual([here.reason, here.scope], ['busy', 'device']);
        assert.deepEqual(fateOf(call), ['ended', 'rejected', 'busy', 'self']);
        assert.equal(await call.accept(), false);

        const everywhere = await startIncoming(t);
        everywhere.call.end();
        const reject = await everywhere.connection.take('call-reject');
        assert.deepEqual([reject.reason, reject.scope], ['declined', undefined]);
        assert.equal(everywhere.missed.length, 0);
    });

    test('that was accepted is ended by whatever is called', async (t) => {
        for (const leave of ['end', 'hangUp', 'reject', 'cancel']) {
            const { connection, call } = await startIncoming(t);
            call.accept();
            await connection.take('call-accept');
            call[leave]('bye');
            const end = await connection.take('call-end');
            assert.deepEqual([end.reason, call.result], ['bye', 'completed']);
        }
    });

    for (const [reason, misses] of [
        ['answered-elsewhere', 0],
        ['rejected-elsewhere', 0],
        ['missed', 1],
        ['connection-lost', 1],
    ]) {
        test(`is over after the server's ${reason}`, async (t) => {
            const { call, say, missed } = await startIncoming(t);
            say('call-cancel', { reason, server: true });
            await nextEvent(call, 'ended');
            assert.deepEqual(fateOf(call), ['ended', reason, reason, 'server']);
            assert.equal(missed.length, misses);
        });
    }

    test('that the caller gives up is missed', async (t) => {
        const world = await startIncoming(t);
        world.say('call-cancel');
        await nextEvent(world.call, 'ended');
        assert.deepEqual(fateOf(world.call), ['ended', 'cancelled', null, 'peer']);
        assert.deepEqual(world.missed, [world.call]);
        world.say('call-start', { id: 9 });
        await fence(world);
        assert.deepEqual(world.connection.inbox, [], 'it is not taken up again');
    });

    test('does not ring for ever, even if the server is gone', async (t) => {
        const { server, clock, connection, call, missed } = await startIncoming(t, {
            expiresInMs: 20000,
        });
        server.refusesWith = 503;
        connection.terminate();
        await clock.pass(21499);
        assert.equal(call.state, 'ringing');
        await clock.pass(1);
        assert.deepEqual(fateOf(call), ['ended', 'missed', null, 'self']);
        assert.deepEqual(missed, [call]);
    });

    test('whose ringing comes too late is over', async (t) => {
        const { phone, connection } = await startAlice(t);
        const incoming = nextEvent(phone, 'incoming');
        connection.say({ type: 'call-start', from: 'bob', callId: 'c-1', id: 1 });
        const call = await incoming;
        connection.refuse(await connection.next('call-ringing'), 'no-such-call');
        await nextEvent(call, 'ended');
        assert.equal(call.result, 'cancelled');
    });

    test('can be rejected before anybody hears it ring', async (t) => {
        const { phone, connection } = await startAlice(t);
        phone.on('call', (call) => call.reject('busy'));
        phone.on('incoming', () => assert.fail('it rang'));
        connection.say({ type: 'call-start', from: 'bob', callId: 'c-1', id: 1 });
        assert.equal((await connection.take('call-reject')).reason, 'busy');
    });

    test('comes beside another', async (t) => {
        const { phone, connection, call } = await startIncoming(t);
        const incoming = nextEvent(phone, 'incoming');
        connection.say({ type: 'call-start', from: 'carol', callId: 'c-2', id: 1 });
        const second = await incoming;
        second.reject('busy');
        assert.equal((await connection.take('call-reject')).to, 'carol');
        assert.deepEqual([...phone.calls.values()], [call]);
    });
});

describe('an answered call', OPTIONS, () => {
    test('is hung up', async (t) => {
        const { connection, call } = await startConnected(t);
        const ended = nextEvent(call, 'ended');
        call.hangUp('bye');
        const end = await connection.next('call-end');
        assert.deepEqual([end.to, end.callId, end.reason], ['bob', call.id, 'bye']);
        assert.deepEqual(await ended, { result: 'completed', reason: 'bye', endedBy: 'self' });
        connection.refuse(end, 'no-such-call');
        call.hangUp();
        assert.deepEqual(fateOf(call), ['ended', 'completed', 'bye', 'self']);
    });

    for (const [name, members, fate] of [
        ['the other side', { reason: 'bye' }, ['completed', 'bye', 'peer']],
        [
            'one who forgot it',
            { reason: 'no-such-call' },
            ['connection-lost', 'no-such-call', 'peer'],
        ],
        [
            'the server',
            { reason: 'connection-lost', server: true },
            ['connection-lost', 'connection-lost', 'server'],
        ],
    ]) {
        test(`is ended by ${name}`, async (t) => {
            const { call, say } = await startConnected(t);
            say('call-end', members);
            await nextEvent(call, 'ended');
            assert.deepEqual(fateOf(call), ['ended', ...fate]);
        });
    }

    test('hears nothing from strangers, and nothing late', async (t) => {
        const world = await startConnected(t);
        world.say('call-end', { from: 'mallory' });
        world.say('call-ringing');
        world.say('call-accept');
        await fence(world);
        assert.deepEqual([world.call.state, world.connection.inbox], ['connected', []]);
    });

    test('reconnects with the connection; a short outage needs no question', async (t) => {
        const { phone, server, clock, connection, call } = await startConnected(t);
        connection.terminate();
        await inState(call, 'reconnecting');
        await clock.pass(250);
        const next = await server.connection();
        await inState(call, 'connected');
        await fence({ phone, connection: next });
        assert.deepEqual(next.inbox, []);
    });

    test('is asked for after a long outage', async (t) => {
        const { phone, server, clock, call, ...world } = await startConnected(t);
        let { connection } = world;
        for (const [code, state] of [
            ['bad-state', 'connected'],
            ['no-such-call', 'ended'],
        ]) {
            connection.terminate();
            await inState(call, 'reconnecting');
            server.refusesWith = 503;
            await clock.pass(8000);
            await inState(phone, 'waiting');
            server.refusesWith = undefined;
            phone.connect();
            connection = await server.connection();
            const question = await connection.next('call-ringing');
            connection.refuse(question, code, { state: 'answered' });
            await fence({ phone, connection });
            assert.equal(call.state, state);
        }
        assert.deepEqual(fateOf(call), ['ended', 'connection-lost', 'no-such-call', 'server']);
    });

    test('ends with the phone', async (t) => {
        const { phone, connection, call } = await startConnected(t);
        phone.disconnect();
        assert.equal((await connection.next('call-end')).callId, call.id);
        assert.equal(await connection.ended, 1000);
        assert.deepEqual(fateOf(call), ['ended', 'completed', null, 'self']);
    });

    test('ends without a word when a newer connection has taken our place', async (t) => {
        const { connection, call } = await startConnected(t);
        connection.close(4501);
        await nextEvent(call, 'ended');
        assert.equal(call.result, 'replaced');
        assert.deepEqual(connection.inbox, []);
    });

    test('knows no camera', async (t) => {
        const { call } = await startConnected(t);
        call.mute();
        assert.equal(await call.cameraOff(false), false);
        assert.equal(await call.setDevice('videoinput', 'x'), false);
        assert.deepEqual([call.muted, call.isCameraOff, call.localStream], [false, true, null]);
    });
});

describe('when both call', OPTIONS, () => {
    const theirStart = {
        type: 'call-start',
        from: 'bob',
        fromDevice: 'b',
        callId: 'theirs',
        id: 1,
    };

    test('the call that stands and rings is accepted', async (t) => {
        const { phone, connection } = await startAlice(t);
        const ours = phone.call('bob', { video: false });
        const start = await connection.next('call-start');
        const incoming = nextEvent(phone, 'incoming');
        connection.say(theirStart);
        const theirs = await incoming;
        connection.refuse(start, 'glare', { callId: 'theirs' });
        const accept = await connection.take('call-accept');
        assert.deepEqual([accept.callId, accept.video], ['theirs', false]);
        await inState(theirs, 'connected');
        assert.deepEqual(fateOf(ours), ['ended', 'glare', null, 'server']);
        assert.deepEqual([ours.successor, theirs.predecessor], [theirs, ours]);
    });

    test('the call that stands is accepted when it comes, and does not ring', async (t) => {
        const { phone, connection } = await startAlice(t);
        phone.on('incoming', () => assert.fail('it rang'));
        const ours = phone.call('bob', { video: true });
        connection.refuse(await connection.next('call-start'), 'glare', { callId: 'theirs' });
        await nextEvent(ours, 'ended');
        assert.equal(ours.successor, null);
        const call = nextEvent(phone, 'call');
        connection.say(theirStart);
        const theirs = await call;
        assert.equal(theirs.predecessor, ours);
        assert.equal((await connection.take('call-accept')).video, true);
        await inState(theirs, 'connected');
        assert.equal(ours.successor, theirs);
        assert.deepEqual(connection.inbox, []);
    });

    test('nobody waits for ever for the call that stands', async (t) => {
        const { phone, clock, connection } = await startAlice(t);
        const ours = phone.call('bob');
        connection.refuse(await connection.next('call-start'), 'glare', { callId: 'theirs' });
        await nextEvent(ours, 'ended');
        await clock.pass(10000);
        assert.equal(clock.pending, 0);
        const incoming = nextEvent(phone, 'incoming');
        connection.say(theirStart);
        assert.equal((await incoming).state, 'ringing');
    });

    test('a call that stood and is over is left alone', async (t) => {
        const { phone, connection } = await startAlice(t);
        const ours = phone.call('bob');
        const start = await connection.next('call-start');
        connection.say(theirStart);
        connection.say({ type: 'call-cancel', from: 'bob', callId: 'theirs' });
        connection.refuse(start, 'glare', { callId: 'theirs' });
        await nextEvent(ours, 'ended');
        await connection.take('call-ringing');
        assert.deepEqual([ours.successor, phone.calls.size], [null, 0]);
    });
});

describe('of a call that is not ours', OPTIONS, () => {
    test('we say so, once', async (t) => {
        const world = await startAlice(t);
        const types = [
            'call-offer',
            'call-answer',
            'call-candidate',
            'call-accept',
            'call-ringing',
        ];
        for (const type of types) {
            for (let i = 0; i < 2; i++) {
                world.connection.say({ type, from: 'bob', callId: `of ${type}` });
            }
        }
        for (const type of types) {
            const { to, callId, reason } = await world.connection.take('call-end');
            assert.deepEqual([to, callId, reason], ['bob', `of ${type}`, 'no-such-call']);
        }
        await fence(world);
        assert.deepEqual(world.connection.inbox, []);
    });

    test('nothing is said to those who leave it', async (t) => {
        const world = await startAlice(t);
        for (const type of ['call-end', 'call-cancel', 'call-reject']) {
            world.connection.say({ type, from: 'bob', callId: 'unknown' });
        }
        await fence(world);
        assert.deepEqual(world.connection.inbox, []);
    });

    test('any more, only those are told who wait for us', async (t) => {
        const world = await startOutgoing(t);
        world.call.cancel();
        await world.connection.take('call-cancel');
        world.say('call-ringing');
        await fence(world);
        assert.deepEqual(world.connection.inbox, []);
        world.say('call-accept');
        assert.equal((await world.connection.take('call-end')).reason, 'no-such-call');
    });
});

test('the types name what there is', async (t) => {
    const text = readFileSync(new URL('../../static/switchboard.d.ts', import.meta.url), 'utf8');
    const namedIn = (name) => {
        const [, body] = text.match(new RegExp(`class ${name}\\b[^{]*\\{(.*?)\\n *\\}\\n`, 's'));
        const members = [...body.matchAll(/^ *(?:readonly )?(\w+)(?:<.*>)?[(:]/gm)];
        return members.map(([, member]) => member);
    };
    const thereIn = (made) => [
        ...Object.keys(made),
        ...Object.getOwnPropertyNames(Object.getPrototypeOf(made)),
    ];
    const isPublic = (member) => !/^_|^constructor$/.test(member);
    const { phone, call } = await startOutgoing(t);
    for (const [name, made] of Object.entries({ Switchboard: phone, Call: call })) {
        assert.deepEqual(
            namedIn(name).filter(isPublic).sort(),
            thereIn(made).filter(isPublic).sort(),
        );
    }
});
