/* The client library's connection: how it comes back, when it stays away, and what becomes of the
 * messages meanwhile. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import WebSocket from 'ws';

import { Switchboard, inState, nextEvent, startWorld } from './client_fakes.mjs';
import { startSet } from './harness.mjs';

const OPTIONS = { timeout: 60000 };
const { Backoff, Recent, closeVerdict, connectionUrl } = Switchboard.internals;
const message = (members) => ({ type: 'call-candidate', to: 'bob', ...members });
/* What became of it: 'ack' or the code of the error. */
const codeOf = (promise) =>
    promise.then(
        () => 'ack',
        (error) => error.code,
    );

describe('parts', () => {
    test('the backoff doubles up to its cap, and draws from the whole span', () => {
        const most = new Backoff({ firstMs: 250, maxMs: 15000, random: () => 1 });
        assert.deepEqual(
            Array.from({ length: 8 }, () => most.nextMs()),
            [250, 500, 1000, 2000, 4000, 8000, 15000, 15000],
        );
        most.reset();
        assert.ok(most.isFresh);
        assert.equal(most.nextMs(), 250);
        assert.equal(new Backoff({ random: () => 0 }).nextMs(), 0);
        for (let i = 0; i < 2000; i++) {
            most.nextMs();
        }
        assert.equal(most.nextMs(), 15000);
    });

    test('close codes say whether to come back', () => {
        for (const code of [1000, 1006, 1008, 1011, 1012, 1013, 4000, 4001, 4002, 4499, 4600]) {
            assert.equal(closeVerdict(code), 'later', String(code));
        }
        assert.equal(closeVerdict(1001), 'at-once');
        for (const code of [4500, 4501, 4599]) {
            assert.equal(closeVerdict(code), 'stay-away', String(code));
        }
        for (const code of [1002, 1003, 1007, 1009]) {
            assert.equal(closeVerdict(code), 'our-mistake', String(code));
        }
    });

    test('what is recent has a bound', () => {
        const recent = new Recent(2);
        assert.deepEqual(
            ['a', 'b', 'a', 'c'].map((key) => recent.add(key)),
            [true, true, false, true],
        );
        assert.ok(!recent.has('a') && recent.has('b') && recent.has('c'));
    });

    test('addresses', () => {
        const cases = [
            ['ws://host:8080', 'ws://host:8080/ws?userId=a'],
            ['wss://host/', 'wss://host/ws?userId=a'],
            ['http://host:8080', 'ws://host:8080/ws?userId=a'],
            ['https://host/signal?x=1#y', 'wss://host/signal?userId=a'],
            ['127.0.0.1:8080', 'ws://127.0.0.1:8080/ws?userId=a'],
        ];
        cases.forEach(([given, made]) => assert.equal(connectionUrl(given, 'a', ''), made));
        assert.equal(
            connectionUrl('ws://host', 'a +&ü', 'd/1'),
            'ws://host/ws?userId=a%20%2B%26%C3%BC&deviceId=d%2F1',
        );
        ['', 'ftp://host', 'ws://', 'http://:x'].forEach((given) =>
            assert.throws(() => connectionUrl(given, 'a', ''), { code: 'bad-url' }, given),
        );
    });

    test('names that the server would refuse are refused here', () => {
        const make = (options) => () =>
            new Switchboard({ url: 'ws://host', WebSocket, ...options });
        ['', undefined, 7, 'a\n', '\ud800', 'ü'.repeat(65)].forEach((userId) =>
            assert.throws(make({ userId }), { code: 'bad-name' }),
        );
        assert.throws(make({ userId: 'a', deviceId: 'd'.repeat(65) }), { code: 'bad-name' });
        assert.equal(make({ userId: 'ü'.repeat(64) })().state, 'offline');
    });
});

describe('the connection', OPTIONS, () => {
    test('asks for the subprotocol, under its name', async (t) => {
        const { server, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline({ userId: 'a+b c', deviceId: 'd/1' });
        assert.deepEqual(server.offered, ['switchboard.v1']);
        assert.deepEqual([connection.userId, connection.deviceId], ['a+b c', 'd/1']);
        await fence(phone, connection);
        assert.equal(phone.sessionId, 'session');
    });

    test('tells of its states', async (t) => {
        const { server, clock, makePhone } = await startWorld(t);
        const phone = makePhone();
        const states = [];
        phone.on('state', ({ state, previous }) => states.push(`${previous} ${state}`));
        assert.equal(phone.state, 'offline');
        phone.connect();
        phone.connect();
        (await server.connection()).close(1011);
        const waiting = await nextEvent(phone, 'state', ({ state }) => state === 'waiting');
        assert.equal(waiting.closeCode, 1011);
        assert.ok(waiting.retryAt > clock.now() && waiting.retryAt <= clock.now() + 250);
        await clock.pass(250);
        await server.connection();
        await inState(phone, 'online');
        phone.disconnect();
        phone.disconnect();
        assert.deepEqual(states, [
            'offline connecting',
            'connecting online',
            'online waiting',
            'waiting connecting',
            'connecting online',
            'online stopped',
        ]);
    });

    for (const code of [1000, 1011, 1012, 4001, 4002]) {
        test(`comes back after ${code}, later`, async (t) => {
            const { server, clock, goOnline } = await startWorld(t);
            const { phone, connection } = await goOnline();
            connection.close(code);
            await inState(phone, 'waiting');
            await clock.pass(250);
            await server.connection();
            await inState(phone, 'online');
        });
    }

    test('comes back after a reset, later', async (t) => {
        const { server, clock, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        connection.terminate();
        await inState(phone, 'waiting');
        await clock.pass(250);
        await server.connection();
        await inState(phone, 'online');
    });

    test('comes back at once after 1001, but not again and again', async (t) => {
        const { server, clock, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        await clock.pass(5000);
        connection.close(1001);
        (await server.connection()).close(1001); /* no time has passed */
        await inState(phone, 'waiting');
        await clock.pass(500);
        await server.connection();
        await inState(phone, 'online');
    });

    for (const code of [4500, 4501]) {
        test(`stays away after ${code}`, async (t) => {
            const { clock, goOnline } = await startWorld(t);
            const { phone, connection } = await goOnline();
            const pending = phone.send(message());
            connection.close(code);
            const stopped = await nextEvent(phone, 'state');
            assert.deepEqual([stopped.state, stopped.closeCode], ['stopped', code]);
            assert.equal(await codeOf(pending), 'stopped');
            assert.equal(await codeOf(phone.send(message())), 'stopped');
            assert.equal(clock.pending, 0);
        });
    }

    for (const code of [1002, 1003, 1007, 1009]) {
        test(`stops with an error after ${code}`, async (t) => {
            const { goOnline } = await startWorld(t);
            const { phone, connection } = await goOnline();
            connection.close(code);
            const error = await nextEvent(phone, 'error');
            assert.deepEqual([error.code, error.closeCode], ['protocol-error', code]);
            assert.equal(phone.state, 'stopped');
        });
    }

    test('backs off from a server that refuses the handshake', async (t) => {
        const { server, clock, makePhone } = await startWorld(t);
        const phone = makePhone();
        server.refusesWith = 503;
        phone.connect();
        for (const mostMs of [250, 500, 1000]) {
            const { retryAt } = await nextEvent(phone, 'state', ({ state }) => state === 'waiting');
            const delayMs = retryAt - clock.now();
            assert.ok(delayMs > mostMs / 2 && delayMs <= mostMs, String(delayMs));
            if (mostMs === 1000) {
                server.refusesWith = undefined;
            }
            await clock.pass(mostMs);
        }
        await server.connection();
        await inState(phone, 'online');
    });

    test('gives up an attempt that nobody answers', async (t) => {
        const { clock, makePhone } = await startWorld(t);
        class Deaf {
            close() {}
        }
        const phone = makePhone({ WebSocket: Deaf });
        phone.connect();
        await clock.pass(9999);
        assert.equal(phone.state, 'connecting');
        await clock.pass(1);
        assert.equal(phone.state, 'waiting');
    });

    test('an address that cannot be stops it', async (t) => {
        const { makePhone } = await startWorld(t);
        class Picky {
            constructor() {
                throw new SyntaxError('no');
            }
        }
        const phone = makePhone({ WebSocket: Picky });
        const failed = nextEvent(phone, 'error');
        phone.connect();
        assert.equal((await failed).code, 'bad-url');
        assert.equal(phone.state, 'stopped');
    });

    test('connects again after disconnect()', async (t) => {
        const { server, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        phone.disconnect();
        assert.equal(await connection.ended, 1000);
        phone.connect();
        await server.connection();
        await inState(phone, 'online');
    });

    test('connect() and the event `online` cut a wait short', async (t) => {
        const { server, clock, makePhone } = await startWorld(t);
        const window = fakeWindow(t);
        const phone = makePhone();
        phone.connect();
        (await server.connection()).close(1011);
        await inState(phone, 'waiting');
        phone.connect();
        (await server.connection()).close(1011);
        await inState(phone, 'waiting');
        window.dispatchEvent(new Event('online'));
        await server.connection();
        await inState(phone, 'online');
        assert.equal(clock.time, 1_000_000);
    });

    test('a new network renews the connection; a stopped phone does not listen', async (t) => {
        const { server, goOnline } = await startWorld(t);
        const window = fakeWindow(t);
        const { phone, connection } = await goOnline();
        window.dispatchEvent(new Event('online'));
        assert.equal(phone.state, 'connecting');
        await server.connection();
        await inState(phone, 'online');
        assert.equal(await connection.ended, 1000);
        assert.equal(window.listeners, 1);
        phone.disconnect();
        assert.equal(window.listeners, 0);
    });
});

describe('messages', OPTIONS, () => {
    test('get an id, and the outcome that names it', async (t) => {
        const { goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        const first = phone.send(message({ n: 1 }));
        const second = phone.send(message({ n: 2, id: 'replaced' }));
        const one = await connection.next();
        const two = await connection.next();
        assert.deepEqual([one.n, two.n], [1, 2]);
        assert.notEqual(one.id, two.id);
        connection.refuse(two, 'user-offline');
        connection.ack(one);
        assert.equal((await first).type, 'ack');
        await assert.rejects(second, {
            name: 'SwitchboardError',
            code: 'user-offline',
            message: 'a sentence on user-offline',
            to: 'bob',
            id: two.id,
            fromServer: true,
        });
    });

    test('of two phones have ids of their own', async (t) => {
        const { goOnline } = await startWorld(t);
        const ids = new Set();
        for (const start of [0.1, 0.5]) {
            const { phone, connection } = await goOnline({ random: () => start });
            const outcome = phone.send(message());
            ids.add((await connection.take()).id);
            await outcome;
        }
        assert.equal(ids.size, 2);
    });

    test('without an outcome are sent again in order, before newer ones', async (t) => {
        const { server, clock, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        const outcomes = [1, 2, 3].map((n) => phone.send(message({ n })));
        const sent = [await connection.next(), await connection.next(), await connection.next()];
        connection.ack(sent[1]);
        await outcomes[1];
        connection.terminate();
        await inState(phone, 'waiting');
        outcomes.push(phone.send(message({ n: 4 })));
        await clock.pass(250);
        const next = await server.connection();
        await inState(phone, 'online');
        outcomes.push(phone.send(message({ n: 5 })));
        const again = [];
        for (let i = 0; i < 4; i++) {
            again.push(await next.take());
        }
        assert.deepEqual(
            again.map(({ n }) => n),
            [1, 3, 4, 5],
        );
        assert.deepEqual([again[0], again[1]], [sent[0], sent[2]]);
        await Promise.all(outcomes);
        assert.deepEqual(next.inbox, []);
    });

    test('that a listener sends during a resubmission come after it, once', async (t) => {
        const { server, clock, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        const outcomes = [phone.send(message({ n: 1 })), phone.send(message({ n: 2 }))];
        await connection.next();
        connection.terminate();
        await inState(phone, 'waiting');
        phone.on('message', ({ direction }) => {
            if (direction === 'out' && outcomes.length === 2) {
                outcomes.push(phone.send(message({ n: 3 })));
            }
        });
        await clock.pass(250);
        const next = await server.connection();
        const numbers = [await next.take(), await next.take(), await next.take()].map(({ n }) => n);
        assert.deepEqual(numbers, [1, 2, 3]);
        await Promise.all(outcomes);
        assert.deepEqual(next.inbox, []);
    });

    test('are unconfirmed after a while, and then not sent again', async (t) => {
        const { server, clock, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        const sent = codeOf(phone.send(message()));
        await connection.next();
        connection.terminate();
        await inState(phone, 'waiting');
        const unsent = codeOf(phone.send(message()));
        server.refusesWith = 503;
        await clock.pass(15000);
        assert.deepEqual([await sent, await unsent], ['unconfirmed', 'not-sent']);
        server.refusesWith = undefined;
        await inState(phone, 'waiting');
        phone.connect();
        const next = await server.connection();
        const outcome = phone.send(message({ n: 2 }));
        assert.equal((await next.take()).n, 2);
        await outcome;
    });

    test('without an outcome on a silent connection end the connection', async (t) => {
        const { server, clock, goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        await clock.pass(1000);
        const outcome = codeOf(phone.send(message()));
        await clock.pass(15000);
        assert.equal(await outcome, 'unconfirmed');
        await server.connection();
        await inState(phone, 'online');
        assert.equal(await connection.ended, 1000);
    });

    test('have a bound', async (t) => {
        const { makePhone } = await startWorld(t);
        const phone = makePhone({ queueMax: 2 });
        const outcomes = [1, 2, 3].map((n) => codeOf(phone.send(message({ n }))));
        assert.equal(await outcomes[2], 'queue-full');
        phone.disconnect();
        assert.deepEqual(await Promise.all(outcomes), ['stopped', 'stopped', 'queue-full']);
    });

    test('that are too large are refused here', async (t) => {
        const { goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        assert.equal(
            await codeOf(phone.send(message({ text: 'x'.repeat(65536) }))),
            'message-too-big',
        );
        const outcome = phone.send(message({ n: 1 }));
        assert.equal((await connection.take()).n, 1);
        await outcome;
    });

    test('are shown as they go over the wire', async (t) => {
        const { goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        const seen = [];
        phone.on('message', ({ direction, message: { type }, text }) => {
            seen.push(`${direction} ${type}`);
            assert.equal(JSON.parse(text).type, type);
        });
        await fence(phone, connection);
        assert.deepEqual(
            seen.filter((line) => line !== 'in welcome'),
            ['out call-candidate', 'in ack'],
        );
    });

    test('that are odd are told of and do no harm', async (t) => {
        const { goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        const errors = [];
        phone.on('error', ({ code }) => errors.push(code));
        connection.socket.send('{');
        connection.socket.send('7');
        connection.say({ type: 'error', code: 'bad-json', message: 'a sentence' });
        connection.say({ type: 'ack', id: 'unknown' });
        connection.say({ type: 'something-new' });
        connection.say({ type: 'call-offer', from: 'bob' });
        await fence(phone, connection);
        assert.deepEqual(errors, ['bad-json', 'bad-json', 'bad-json']);
        assert.deepEqual(connection.inbox, []);
    });

    test('that are repeated arrive once, unlike others of the same id', async (t) => {
        const { goOnline } = await startWorld(t);
        const { phone, connection } = await goOnline();
        const ids = [];
        phone.on('incoming', ({ id }) => ids.push(id));
        const start = { type: 'call-start', from: 'bob', fromDevice: 'd', id: 1, callId: 'one' };
        connection.say(start);
        connection.say(start);
        connection.say({ ...start, callId: 'two' });
        await connection.take('call-ringing');
        await connection.take('call-ringing');
        connection.say({ ...start, type: 'call-cancel', id: 2 });
        await nextEvent(phone, 'missed');
        connection.say(start);
        await fence(phone, connection);
        assert.deepEqual(ids, ['one', 'two']);
        assert.deepEqual(connection.inbox, []);
    });
});

/* Everything that the server has said before has been dealt with once this resolves. */
async function fence(phone, connection) {
    const sent = phone.send(message({ fence: true }));
    await connection.take('call-candidate');
    await sent;
}

/* Gives this process the event target that a page's window is. */
function fakeWindow(t) {
    const target = new EventTarget();
    const window = {
        listeners: 0,
        dispatchEvent: (event) => target.dispatchEvent(event),
    };
    globalThis.addEventListener = (name, fn) => {
        window.listeners += 1;
        target.addEventListener(name, fn);
    };
    globalThis.removeEventListener = (name, fn) => {
        window.listeners -= 1;
        target.removeEventListener(name, fn);
    };
    t.after(() => {
        delete globalThis.addEventListener;
        delete globalThis.removeEventListener;
    });
    return window;
}

describe('against the real programs', OPTIONS, () => {
    const makePhones = (t, set) => {
        const phones = [];
        t.after(async () => {
            phones.forEach((phone) => phone.disconnect());
            await set.stop();
        });
        return async (slot, userId, deviceId) => {
            const url = set.httpUrl(slot);
            const phone = new Switchboard({ url, userId, deviceId, media: 'none', WebSocket });
            phones.push(phone);
            phone.connect();
            await inState(phone, 'online');
            return phone;
        };
    };

    test('a message is acknowledged or refused, also after a restart of the gateway', async (t) => {
        const set = await startSet({ gateways: 2 });
        const phoneOf = makePhones(t, set);
        const alice = await phoneOf(0, 'alice', 'a');
        const bob = await phoneOf(1, 'bob', 'b');
        const arrived = nextEvent(bob, 'message', (each) => each.message.from === 'alice');
        const ack = await alice.send(message({ n: 1 }));
        assert.equal(ack.to, 'bob');
        assert.equal((await arrived).message.n, 1);
        await assert.rejects(alice.send(message({ to: 'nobody' })), { code: 'user-offline' });

        await set.gateways[0].kill();
        await inState(alice, 'waiting');
        const outcome = alice.send(message({ n: 2 }));
        await set.startGateway(0);
        alice.connect();
        assert.equal((await outcome).type, 'ack');
    });

    test('the newer of two connections stays', async (t) => {
        const phoneOf = makePhones(t, await startSet());
        const older = await phoneOf(0, 'alice', 'a');
        const stopped = nextEvent(older, 'state');
        const newer = await phoneOf(0, 'alice', 'a');
        assert.deepEqual([(await stopped).state, (await stopped).closeCode], ['stopped', 4501]);
        assert.equal(newer.state, 'online');
    });

    test('a call rings, is accepted and ended', async (t) => {
        const phoneOf = makePhones(t, await startSet({ gateways: 2 }));
        const alice = await phoneOf(0, 'alice', 'a');
        const bob = await phoneOf(1, 'bob', 'b');
        const incoming = nextEvent(bob, 'incoming');
        const call = alice.call('bob', { video: false, data: { topic: 'lunch' } });
        const theirs = await incoming;
        assert.deepEqual([theirs.id, theirs.peer, theirs.video], [call.id, 'alice', false]);
        assert.deepEqual(theirs.data, { topic: 'lunch' });
        await inState(call, 'ringing');
        assert.equal(await theirs.accept(), true);
        await Promise.all([inState(call, 'connected'), inState(theirs, 'connected')]);
        const ended = nextEvent(theirs, 'ended');
        call.hangUp('enough');
        assert.deepEqual(await ended, { result: 'completed', reason: 'enough', endedBy: 'peer' });
        assert.deepEqual([call.state, call.result, call.endedBy], ['ended', 'completed', 'self']);
        assert.equal(alice.calls.size + bob.calls.size, 0);
    });
});
