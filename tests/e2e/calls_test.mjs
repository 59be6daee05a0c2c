/* Calls that the server keeps, row by row of the tables in PROTOCOL.md: what each move does, who
 * hears of it and who does not. Alice has one device, bob two; each is on a gateway of its own. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Device, answered, calling, cast, fresh, leaveAll, ringing, said } from './calls.mjs';
import { startSet } from './harness.mjs';

const timeout = 60000;
const RING_MS = 60000;
const MESSAGE_MAX_BYTES = 65536;
const SOON_MS = 500;
const CALLEES_MOVES = ['ringing', 'accept', 'reject'];
const CALL_MOVES = [...CALLEES_MOVES, 'cancel', 'end', 'offer', 'answer', 'candidate'];

/* A message without what the server puts into it. */
function withoutWords({ from, fromDevice, expiresInMs, ...rest }) {
    return rest;
}

describe('a call, move by move', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 3 });
    });
    after(() => set.stop());

    test('call-start reaches each device, and says how long it may ring', { timeout }, async () => {
        const all = await cast(set);
        const { alice, bob, desk, callId } = all;
        await desk.does('start', bob, callId, { id: 7, note: 'h\u00e9' });
        for (const device of [all.phone, all.laptop]) {
            const { text, data } = await device.client.nextMessage();
            assert.deepEqual(withoutWords(data), {
                type: 'call-start',
                to: bob,
                callId,
                id: 7,
                note: 'h\u00e9',
            });
            assert.deepEqual([data.from, data.fromDevice], [alice, 'desk']);
            assert.ok(Number.isInteger(data.expiresInMs), text);
            assert.ok(data.expiresInMs > RING_MS / 2 && data.expiresInMs <= RING_MS, text);
            assert.ok(text.includes(`"from":"${alice}","fromDevice":"desk",`), text);
            await device.hearsNothingMore();
        }
        await desk.hearsNothingMore();
        leaveAll(all);
    });

    test('call-ringing goes to the caller, from each device', { timeout }, async () => {
        const all = await calling(set);
        for (const device of [all.phone, all.laptop]) {
            await device.does('ringing', all.alice, all.callId);
            const heard = await all.desk.hears('ringing');
            assert.deepEqual([heard.from, heard.fromDevice], [all.bob, device.deviceId]);
        }
        await all.phone.hearsNothingMore();
        await all.laptop.hearsNothingMore();
        leaveAll(all);
    });

    test('the first accept wins; the other device hears so, whatever it does', { timeout }, async () => {
        const all = await ringing(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await phone.does('accept', alice, callId, { sdp: 'x' });
        const heard = await desk.hears('accept');
        assert.deepEqual([heard.from, heard.fromDevice, heard.sdp], [bob, 'phone', 'x']);
        assert.deepEqual(
            await laptop.hears('cancel'),
            said('cancel', alice, callId, 'answered-elsewhere'),
        );
        for (const move of CALL_MOVES) {
            assert.equal(await laptop.says(move, alice, callId), 'answered-elsewhere', move);
        }
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    for (const scope of [undefined, 'all']) {
        test(`call-reject ends it everywhere, scope ${scope}`, { timeout }, async () => {
            const all = await ringing(set);
            const { alice, bob, desk, phone, laptop, callId } = all;
            await phone.does('reject', alice, callId, { reason: 'busy', scope });
            const heard = await desk.hears('reject');
            assert.deepEqual(
                [heard.from, heard.fromDevice, heard.reason, heard.server],
                [bob, 'phone', 'busy', undefined],
            );
            assert.deepEqual(
                await laptop.hears('cancel'),
                said('cancel', alice, callId, 'rejected-elsewhere'),
            );
            assert.equal(await laptop.says('accept', alice, callId), 'no-such-call');
            assert.equal(await desk.says('cancel', bob, callId), 'no-such-call');
            for (const device of all.devices) {
                await device.hearsNothingMore();
            }
            leaveAll(all);
        });
    }

    test('with the scope of a device only that one leaves; the last one ends it', { timeout }, async () => {
        const all = await calling(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await phone.does('reject', alice, callId, { scope: 'device' });
        for (const move of CALL_MOVES) {
            assert.equal(await phone.says(move, alice, callId), 'not-in-call', move);
        }
        await desk.hearsNothingMore();
        await laptop.does('ringing', alice, callId);
        await desk.hears('ringing');
        await laptop.does('reject', alice, callId, { scope: 'device', reason: 'no' });
        const heard = await desk.hears('reject');
        assert.deepEqual([heard.fromDevice, heard.reason], ['laptop', 'no']);
        assert.equal(await desk.says('end', bob, callId), 'no-such-call');
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    test('a device that has left hears nothing more of it', { timeout }, async () => {
        const all = await calling(set);
        await all.phone.does('reject', all.alice, all.callId, { scope: 'device' });
        await all.desk.does('offer', all.bob, all.callId);
        await all.laptop.hears('offer');
        await all.laptop.does('accept', all.alice, all.callId);
        await all.desk.hears('accept');
        await all.desk.does('end', all.bob, all.callId);
        await all.laptop.hears('end');
        await all.phone.hearsNothingMore();
        leaveAll(all);
    });

    test('call-cancel reaches each device', { timeout }, async () => {
        const all = await ringing(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await desk.does('cancel', bob, callId, { reason: 'never mind' });
        for (const device of [phone, laptop]) {
            const heard = await device.hears('cancel');
            assert.deepEqual(
                [heard.from, heard.fromDevice, heard.reason, heard.server],
                [alice, 'desk', 'never mind', undefined],
            );
            assert.equal(await device.says('accept', alice, callId), 'no-such-call');
            await device.hearsNothingMore();
        }
        await desk.hearsNothingMore();
        leaveAll(all);
    });

    test('before the answer the caller reaches all devices, each of them him', { timeout }, async () => {
        const all = await calling(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        for (const move of ['offer', 'candidate', 'answer']) {
            await desk.does(move, bob, callId, { n: move });
            for (const device of [phone, laptop]) {
                const heard = await device.hears(move);
                assert.deepEqual([heard.n, heard.fromDevice], [move, 'desk']);
            }
            for (const device of [phone, laptop]) {
                await device.does(move, alice, callId, { n: device.deviceId });
                const heard = await desk.hears(move);
                assert.deepEqual([heard.n, heard.fromDevice], [device.deviceId, device.deviceId]);
            }
        }
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    test('after it they go to the device at the other end, in order', { timeout }, async () => {
        const all = await answered(set);
        const { alice, bob, desk, phone, callId } = all;
        const moves = ['offer', 'answer', ...Array(20).fill('candidate')];
        for (const [device, to, other] of [
            [desk, bob, phone],
            [phone, alice, desk],
        ]) {
            const ids = moves.map((move, n) => device.send(move, to, callId, { n }));
            for (const [n, move] of moves.entries()) {
                const { type, n: got, fromDevice } = await other.client.next(
                    ({ type: each }) => each !== 'ack',
                );
                assert.deepEqual([type, got, fromDevice], [`call-${move}`, n, device.deviceId]);
            }
            for (const id of ids) {
                assert.equal((await device.outcomeOf(id)).type, 'ack');
            }
        }
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    for (const ender of ['desk', 'phone']) {
        test(`call-end by the ${ender}: the other party hears it`, { timeout }, async () => {
            const all = await answered(set);
            const { alice, bob, desk, phone, callId } = all;
            const [one, to, other] = ender === 'desk' ? [desk, bob, phone] : [phone, alice, desk];
            await one.does('end', to, callId, { reason: 'bye' });
            const heard = await other.hears('end');
            assert.deepEqual(
                [heard.from, heard.fromDevice, heard.reason, heard.server],
                [one.userId, ender, 'bye', undefined],
            );
            assert.equal(await other.says('end', one.userId, callId), 'no-such-call');
            for (const device of all.devices) {
                await device.hearsNothingMore();
            }
            leaveAll(all);
        });
    }

    test('call-end before the answer cancels, from the caller', { timeout }, async () => {
        const all = await ringing(set);
        await all.desk.does('end', all.bob, all.callId, { reason: 'bye' });
        for (const device of [all.phone, all.laptop]) {
            const heard = await device.hears('end');
            assert.deepEqual([heard.fromDevice, heard.reason], ['desk', 'bye']);
            assert.equal(await device.says('accept', all.alice, all.callId), 'no-such-call');
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    test('and rejects, from the callee', { timeout }, async () => {
        const all = await ringing(set);
        await all.laptop.does('end', all.alice, all.callId, { reason: 'bye' });
        const heard = await all.desk.hears('end');
        assert.deepEqual([heard.fromDevice, heard.reason], ['laptop', 'bye']);
        assert.deepEqual(
            await all.phone.hears('cancel'),
            said('cancel', all.alice, all.callId, 'rejected-elsewhere'),
        );
        assert.equal(await all.phone.says('accept', all.alice, all.callId), 'no-such-call');
        await all.phone.hearsNothingMore();
        leaveAll(all);
    });

    test('a device that connects while it rings rings too, and can accept', { timeout }, async () => {
        const all = await calling(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        const tablet = await Device.connect(set, 0, bob, 'tablet');
        const heard = await tablet.hears('start');
        assert.deepEqual([heard.from, heard.fromDevice, heard.callId], [alice, 'desk', callId]);
        assert.ok(heard.expiresInMs > 0 && heard.expiresInMs <= RING_MS);
        await tablet.does('accept', alice, callId);
        assert.equal((await desk.hears('accept')).fromDevice, 'tablet');
        for (const device of [phone, laptop]) {
            assert.equal((await device.hears('cancel')).reason, 'answered-elsewhere');
        }
        const late = await Device.connect(set, 1, bob, 'watch');
        await late.hearsNothingMore();
        assert.equal(await late.says('offer', alice, callId), 'answered-elsewhere');
        leaveAll(all);
        tablet.leave();
        late.leave();
    });

    test('of the caller only the device that started it has a part', { timeout }, async () => {
        const all = await cast(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        const other = await Device.connect(set, 1, alice, 'sofa');
        await desk.does('start', bob, callId);
        for (const move of CALL_MOVES) {
            assert.equal(await other.says(move, bob, callId), 'not-in-call', move);
        }
        await phone.does('accept', alice, callId);
        await desk.hears('accept');
        await laptop.hears('cancel');
        await phone.does('end', alice, callId);
        await desk.hears('end');
        await other.hearsNothingMore();
        leaveAll(all);
        other.leave();
    });

    test('one may call oneself: the other devices ring', { timeout }, async () => {
        const all = await cast(set);
        const { bob, phone, laptop, callId } = all;
        await phone.does('start', bob, callId);
        await laptop.hears('start');
        await laptop.does('accept', bob, callId);
        assert.equal((await phone.hears('accept')).fromDevice, 'laptop');
        await phone.does('offer', bob, callId);
        assert.equal((await laptop.hears('offer')).fromDevice, 'phone');
        await laptop.does('end', bob, callId);
        await phone.hears('end');
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    test('a newer connection of the same device goes on with its call', { timeout }, async () => {
        const all = await answered(set);
        const { alice, bob, desk, phone, callId } = all;
        const again = await phone.comeBack(0);
        assert.equal((await phone.client.ended).code, 4501);
        await again.does('offer', alice, callId);
        assert.equal((await desk.hears('offer')).fromDevice, 'phone');
        await desk.does('end', bob, callId);
        await again.hears('end');
        await again.hearsNothingMore();
        leaveAll(all);
        again.leave();
    });

    test('a callId of any spelling is the same everywhere', { timeout }, async () => {
        const { alice, bob, desk, phone, laptop, devices } = await cast(set);
        for (const callId of ['"\\/', 'a\nb\u007f', 'h\u00e9 \u{1F600}', 'c'.repeat(64), ' ']) {
            const unique = `${callId}${fresh('')}`.slice(-64);
            await desk.does('start', bob, unique);
            assert.equal((await phone.hears('start')).callId, unique);
            assert.equal((await laptop.hears('start')).callId, unique);
            const escaped = [...unique].map(
                (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
            );
            if (!unique.includes('\u{1F600}')) {
                phone.client.send(
                    `{"type":"call-accept","to":"${alice}","call\\u0049d":"${escaped.join('')}"}`,
                );
            } else {
                await phone.does('accept', alice, unique);
            }
            assert.equal((await desk.hears('accept')).callId, unique);
            assert.deepEqual(
                await laptop.hears('cancel'),
                said('cancel', alice, unique, 'answered-elsewhere'),
            );
            const error = await laptop.fails('accept', alice, unique);
            assert.deepEqual([error.code, error.callId], ['answered-elsewhere', unique]);
            await desk.does('end', bob, unique);
            await phone.hears('end');
        }
        leaveAll({ devices });
    });

    test('the largest message, from the longest names', { timeout }, async () => {
        const alice = `"${fresh('"')}`.padEnd(128, '"');
        const bob = fresh('bob');
        const desk = await Device.connect(set, 0, alice, '"'.repeat(64));
        const phone = await Device.connect(set, 1, bob, 'phone');
        const callId = fresh('call').padEnd(64, '"');
        const start = { type: 'call-start', to: bob, callId, id: 1, data: '' };
        const room = MESSAGE_MAX_BYTES - JSON.stringify(start).length;
        const more = { id: 1, data: 'x'.repeat(room) };
        await desk.does('start', bob, callId, more);
        const heard = await phone.hears('start');
        assert.deepEqual([heard.from, heard.fromDevice], [alice, desk.deviceId]);
        assert.equal(heard.data, more.data);
        /* It is kept for devices that come, and for those that are away. */
        const laptop = await Device.connect(set, 2, bob, 'laptop');
        assert.equal((await laptop.hears('start')).data, more.data);
        await phone.does('accept', alice, callId);
        await desk.hears('accept');
        await phone.goAway();
        const id = desk.send('offer', bob, callId, { id: 1, data: 'x'.repeat(room - 1) });
        const back = await phone.comeBack(0);
        assert.equal((await back.hears('offer')).data.length, room - 1);
        assert.equal((await desk.outcomeOf(id)).type, 'ack');
        leaveAll({ devices: [desk, laptop, back] });
    });

    test('users of any spelling are named in what the server says', { timeout }, async () => {
        const alice = fresh('a"\\/ h\u00e9\u{1F600}');
        const bob = fresh('b');
        const callId = fresh('call');
        const desk = await Device.connect(set, 0, alice, '"desk"');
        const phone = await Device.connect(set, 1, bob, 'ph\u00f6ne');
        const laptop = await Device.connect(set, 2, bob, '');
        await desk.does('start', bob, callId);
        const heard = await phone.hears('start');
        assert.deepEqual([heard.from, heard.fromDevice], [alice, '"desk"']);
        await laptop.hears('start');
        await laptop.does('accept', alice, callId);
        assert.equal((await desk.hears('accept')).fromDevice, '');
        assert.deepEqual(
            await phone.hears('cancel'),
            said('cancel', alice, callId, 'answered-elsewhere'),
        );
        leaveAll({ devices: [desk, phone, laptop] });
    });
});

describe('what only the server may say', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 3 });
    });
    after(() => set.stop());

    const FORGED = {
        from: '"from":"eve"',
        fromDevice: '"fromDevice":"eve"',
        server: '"server":true',
        expiresInMs: '"expiresInMs":5',
    };
    /* Where a client may write them: before, between and behind the members that count, all
     * together, in escapes, as other kinds of values. */
    const texts = (head, rest) => [
        ...Object.values(FORGED).flatMap((word) => [
            `{${word},${head},${rest}}`,
            `{${head} , ${word} ,${rest}}`,
            `{${head},${rest},${word} }`,
        ]),
        `{${Object.values(FORGED).join(',')},${head},${rest}}`,
        `{${head},${Object.values(FORGED).join(' , ')},${rest}}`,
        `{${head},${rest},${Object.values(FORGED).join(',')}}`,
        `{${head},"\\u0066rom":{"from":"eve"},"from\\u0044evice":["eve"],` +
            `"serve\\u0072":{"server":true},"expiresInM\\u0073":null,${rest}}`,
    ];

    test('forged words are replaced in every move', { timeout }, async () => {
        const all = await answered(set);
        const { alice, bob, desk, phone, callId } = all;
        for (const [n, text] of texts(
            `"type":"call-candidate","to":"${bob}"`,
            `"callId":"${callId}","n":1e2`,
        ).entries()) {
            desk.client.send(text);
            const received = await phone.client.nextMessage();
            assert.deepEqual(
                received.data,
                { from: alice, fromDevice: 'desk', type: 'call-candidate', to: bob, callId, n: 100 },
                `${n}: ${text}`,
            );
            assert.ok(received.text.includes('1e2'), received.text);
        }
        await phone.hearsNothingMore();
        leaveAll(all);
    });

    test('and in a call-start, on every device', { timeout }, async () => {
        const { alice, bob, desk, phone, laptop, devices } = await cast(set);
        const forgeries = (callId) =>
            texts(`"type":"call-start","to":"${bob}"`, `"callId":"${callId}"`);
        for (const n of forgeries('').keys()) {
            const callId = fresh('call');
            desk.client.send(forgeries(callId)[n]);
            for (const device of [phone, laptop]) {
                const { expiresInMs, ...heard } = await device.hears('start');
                assert.ok(expiresInMs > RING_MS / 2 && expiresInMs <= RING_MS, `${expiresInMs}`);
                assert.deepEqual(
                    heard,
                    { from: alice, fromDevice: 'desk', type: 'call-start', to: bob, callId },
                    forgeries(callId)[n],
                );
            }
            await desk.does('cancel', bob, callId);
            await phone.hears('cancel');
            await laptop.hears('cancel');
        }
        leaveAll({ devices });
    });

    test('a word that occurs twice is refused, and names the call', { timeout }, async () => {
        const { bob, desk, phone, devices, callId } = await cast(set);
        const head = `"type":"call-reject","to":"${bob}","callId":"${callId}","id":"twice"`;
        for (const rest of [
            '"scope":"device","scope":"device"',
            '"scope":"room"',
            '"scope":7',
            '"reason":"a","r\\u0065ason":"b"',
            '"server":1,"server":2',
            '"fromDevice":"a","fromDevice":"a"',
            '"expiresInMs":1,"expiresInMs":2',
            '"from":"a","from":"b"',
        ]) {
            desk.client.send(`{${head},${rest}}`);
            const { message, ...error } = await desk.outcomeOf('twice');
            assert.deepEqual(error, {
                type: 'error',
                code: 'bad-message',
                to: bob,
                id: 'twice',
                callId,
            });
        }
        await phone.hearsNothingMore();
        leaveAll({ devices });
    });

    test('without a callId nothing changes, next to a call', { timeout }, async () => {
        const all = await answered(set);
        const { alice, bob, desk, phone, laptop } = all;
        const plain = [
            '"type":"call-start","to":"BOB","a":1',
            ' "type" : "call-end" ,\t"to":"BOB" , "n":123456789012345678901234567890',
            '"type":"call-cancel","to":"BOB","server":true,"reason":"answered-elsewhere"',
            '"fromDevice":"x","expiresInMs":1,"scope":7,"type":"call-reject","to":"BOB"',
            '"reason":1,"reason":2,"server":1,"server":2,"type":"call-offer","to":"BOB"',
            '"type":"call-accept","to":"BOB","\\u0061":"\\u00e9\\/","scope":"x","scope":"y"',
        ].map((text) => text.replace('BOB', bob));
        for (const text of plain) {
            desk.client.send(`{${text}}`);
            for (const device of [phone, laptop]) {
                assert.equal(
                    (await device.client.nextMessage()).text,
                    `{"from":"${alice}",${text}}`,
                );
            }
        }
        await phone.does('end', alice, all.callId);
        await desk.hears('end');
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });
});

describe('errors', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 3 });
    });
    after(() => set.stop());

    /* All members of an error but its sentence, which is there. */
    function checked({ message, ...error }) {
        assert.ok(message.length > 10);
        return error;
    }

    test('already-answered, with all that an error has', { timeout }, async () => {
        const all = await answered(set);
        const error = await all.desk.fails('cancel', all.bob, all.callId, { id: 12 });
        assert.deepEqual(checked(error), {
            type: 'error',
            code: 'already-answered',
            to: all.bob,
            id: 12,
            callId: all.callId,
        });
        await all.phone.does('offer', all.alice, all.callId);
        await all.phone.hearsNothingMore();
        leaveAll(all);
    });

    test('glare names the call that stands, which can be accepted at once', { timeout }, async () => {
        const all = await calling(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        const error = await laptop.fails('start', alice, fresh('call'), { id: 'g' });
        assert.deepEqual(checked(error), {
            type: 'error',
            code: 'glare',
            to: alice,
            id: 'g',
            callId,
        });
        await desk.hearsNothingMore();
        await laptop.does('accept', alice, error.callId);
        assert.equal((await desk.hears('accept')).fromDevice, 'laptop');
        assert.equal((await phone.hears('cancel')).reason, 'answered-elsewhere');
        /* A call that stands is none that is about to. */
        await laptop.does('start', alice, fresh('call'));
        await desk.hears('start');
        assert.equal(await desk.says('start', bob, fresh('call')), 'glare');
        leaveAll(all);
    });

    test('call-exists: a callId that is in use, or was', { timeout }, async () => {
        const all = await calling(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        assert.equal(await phone.says('start', alice, callId), 'call-exists');
        const error = await desk.fails('start', bob, callId, { id: 'again' });
        assert.deepEqual(checked(error), {
            type: 'error',
            code: 'call-exists',
            to: bob,
            id: 'again',
            callId,
        });
        await phone.does('reject', alice, callId);
        await desk.hears('reject');
        await laptop.hears('cancel');
        for (const device of all.devices) {
            assert.equal(await device.says('start', bob, callId), 'call-exists');
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    test('no-such-call: never was, or is over', { timeout }, async () => {
        const all = await answered(set);
        await all.phone.does('end', all.alice, all.callId);
        await all.desk.hears('end');
        for (const move of CALL_MOVES) {
            const error = await all.desk.fails(move, all.bob, all.callId, { id: move });
            assert.deepEqual(checked(error), {
                type: 'error',
                code: 'no-such-call',
                to: all.bob,
                id: move,
                callId: all.callId,
            });
            assert.equal(await all.desk.says(move, all.bob, fresh('never')), 'no-such-call');
        }
        await all.phone.hearsNothingMore();
        leaveAll(all);
    });

    test('not-in-call: a stranger, another device, another `to`', { timeout }, async () => {
        for (const make of [calling, answered]) {
            const all = await make(set);
            const { alice, bob, desk, phone, callId } = all;
            const eve = await Device.connect(set, 1, fresh('eve'), 'e');
            for (const move of CALL_MOVES) {
                const error = await eve.fails(move, alice, callId, { id: move });
                assert.deepEqual(checked(error), {
                    type: 'error',
                    code: 'not-in-call',
                    to: alice,
                    id: move,
                    callId,
                });
                assert.equal(await eve.says(move, bob, callId), 'not-in-call');
            }
            assert.equal(await eve.says('start', bob, callId), 'call-exists');
            assert.equal(await desk.says('offer', eve.userId, callId), 'not-in-call');
            assert.equal(await desk.says('offer', alice, callId), 'not-in-call');
            assert.equal(await phone.says('end', bob, callId), 'not-in-call');
            assert.equal(await desk.says('end', fresh('nobody'), callId), 'not-in-call');
            for (const device of [...all.devices, eve]) {
                await device.hearsNothingMore();
            }
            await phone.does('offer', alice, callId);
            leaveAll(all);
            eve.leave();
        }
    });

    const NOT_NOW = [
        ['calling', calling, 'desk', CALLEES_MOVES],
        ['calling', calling, 'phone', ['cancel']],
        ['ringing', ringing, 'desk', CALLEES_MOVES],
        ['ringing', ringing, 'phone', ['cancel']],
        ['answered', answered, 'desk', CALLEES_MOVES],
        ['answered', answered, 'phone', [...CALLEES_MOVES, 'cancel']],
    ];
    for (const [state, make, who, moves] of NOT_NOW) {
        test(`bad-state says that it is ${state}, to the ${who}`, { timeout }, async () => {
            const all = await make(set);
            const to = who === 'desk' ? all.bob : all.alice;
            for (const move of moves) {
                const error = await all[who].fails(move, to, all.callId, { id: move });
                assert.deepEqual(checked(error), {
                    type: 'error',
                    code: 'bad-state',
                    to,
                    id: move,
                    callId: all.callId,
                    state,
                });
            }
            for (const device of all.devices) {
                await device.hearsNothingMore();
            }
            leaveAll(all);
        });
    }

    test('call-start to somebody who is not there: user-offline, and it is over', { timeout }, async () => {
        const { desk, devices, callId } = await cast(set);
        const nobody = fresh('nobody');
        const error = await desk.fails('start', nobody, callId, { id: 'o' });
        assert.deepEqual(checked(error), {
            type: 'error',
            code: 'user-offline',
            to: nobody,
            id: 'o',
            callId,
        });
        for (const move of ['cancel', 'end', 'offer']) {
            assert.equal(await desk.says(move, nobody, callId), 'no-such-call');
        }
        await desk.hearsNothingMore();
        leaveAll({ devices });
    });

    test('calling oneself with one device: nobody is there', { timeout }, async () => {
        const { alice, desk, devices, callId } = await cast(set);
        assert.equal(await desk.says('start', alice, callId), 'user-offline');
        await desk.hearsNothingMore();
        leaveAll({ devices });
    });
});

describe('repeats', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 3 });
    });
    after(() => set.stop());

    /* The move, then the same message over the same connection and over the next one. */
    async function thrice(all, who, slot, move, more = {}) {
        const device = all[who];
        const to = who === 'desk' ? all.bob : all.alice;
        await device.does(move, to, all.callId, { id: 'same', ...more });
        await device.does(move, to, all.callId, { id: 'same', ...more });
        const again = await device.comeBack(slot);
        all[who] = again;
        all.devices = [all.desk, all.phone, all.laptop];
        await again.does(move, to, all.callId, { id: 'same', ...more });
    }

    test('call-start rings once on each device', { timeout }, async () => {
        const all = await cast(set);
        await thrice(all, 'desk', 1, 'start');
        await all.phone.hears('start');
        await all.laptop.hears('start');
        await all.phone.hearsNothingMore();
        await all.laptop.hearsNothingMore();
        await all.phone.does('accept', all.alice, all.callId);
        assert.equal((await all.desk.hears('accept')).fromDevice, 'phone');
        leaveAll(all);
    });

    test('call-accept is heard once', { timeout }, async () => {
        const all = await ringing(set);
        await thrice(all, 'phone', 0, 'accept');
        await all.desk.hears('accept');
        await all.laptop.hears('cancel');
        await all.desk.hearsNothingMore();
        await all.laptop.hearsNothingMore();
        await all.desk.does('offer', all.bob, all.callId);
        await all.phone.hears('offer');
        leaveAll(all);
    });

    for (const [move, who, make, others] of [
        ['reject', 'phone', ringing, { desk: 'reject', laptop: 'cancel' }],
        ['cancel', 'desk', ringing, { phone: 'cancel', laptop: 'cancel' }],
        ['end', 'desk', answered, { phone: 'end' }],
        ['end', 'phone', answered, { desk: 'end' }],
    ]) {
        test(`call-${move} by the ${who} is heard once`, { timeout }, async () => {
            const all = await make(set);
            await thrice(all, who, 2, move);
            for (const [other, type] of Object.entries(others)) {
                await all[other].hears(type);
            }
            for (const device of all.devices) {
                await device.hearsNothingMore();
            }
            leaveAll(all);
        });
    }

    test('a message without an id, or with another, is no repeat', { timeout }, async () => {
        const all = await answered(set);
        assert.equal(await all.phone.says('accept', all.alice, all.callId), 'bad-state');
        all.phone.client.send({ type: 'call-accept', to: all.alice, callId: all.callId });
        const error = await all.phone.client.nextMessage();
        assert.deepEqual([error.data.code, error.data.id], ['bad-state', undefined]);
        leaveAll(all);
    });
});

describe('a connection that is lost', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 3 });
    });
    after(() => set.stop());

    test('and is back on another gateway: what waited comes, in order', { timeout }, async () => {
        const all = await answered(set);
        const { alice, bob, desk, phone, callId } = all;
        const moves = ['offer', ...Array(30).fill('candidate')];
        await phone.goAway();
        const ids = moves.map((move, n) => desk.send(move, bob, callId, { n }));
        const back = await phone.comeBack(2);
        for (const [n, move] of moves.entries()) {
            const heard = await back.client.next();
            assert.deepEqual([heard.type, heard.n], [`call-${move}`, n]);
        }
        for (const id of ids) {
            assert.equal((await desk.outcomeOf(id)).type, 'ack');
        }
        await back.does('answer', alice, callId);
        assert.equal((await desk.hears('answer')).fromDevice, 'phone');
        await desk.does('end', bob, callId);
        await back.hears('end');
        leaveAll(all);
        back.leave();
    });

    test('the same for the caller, who is answered meanwhile', { timeout }, async () => {
        const all = await calling(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await desk.goAway();
        const ids = ['ringing', 'accept', 'candidate'].map((move) =>
            phone.send(move, alice, callId),
        );
        assert.equal((await laptop.hears('cancel')).reason, 'answered-elsewhere');
        const back = await desk.comeBack(1);
        for (const type of ['call-ringing', 'call-accept', 'call-candidate']) {
            assert.equal((await back.client.next()).type, type);
        }
        for (const id of ids) {
            assert.equal((await phone.outcomeOf(id)).type, 'ack');
        }
        await back.does('offer', bob, callId);
        await phone.hears('offer');
        await laptop.hearsNothingMore();
        leaveAll(all);
        back.leave();
    });

    test('one that was away when it was over hears so when it is back', { timeout }, async () => {
        const all = await calling(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await laptop.goAway();
        await phone.does('accept', alice, callId);
        await desk.hears('accept');
        const back = await laptop.comeBack(0);
        assert.deepEqual(
            await back.hears('cancel'),
            said('cancel', alice, callId, 'answered-elsewhere'),
        );
        assert.equal(await back.says('accept', alice, callId), 'answered-elsewhere');
        await phone.goAway();
        const id = desk.send('end', bob, callId);
        const again = await phone.comeBack(1);
        await again.hears('end');
        assert.equal((await desk.outcomeOf(id)).type, 'ack');
        await again.hearsNothingMore();
        leaveAll(all);
        back.leave();
        again.leave();
    });

    test('one that was away when it was cancelled hears so when it is back', { timeout }, async () => {
        const all = await calling(set);
        await all.phone.goAway();
        await all.laptop.goAway();
        const id = all.desk.send('cancel', all.bob, all.callId);
        for (const [device, slot] of [
            [all.laptop, 0],
            [all.phone, 2],
        ]) {
            const back = await device.comeBack(slot);
            assert.equal((await back.hears('cancel')).from, all.alice);
            assert.equal(await back.says('accept', all.alice, all.callId), 'no-such-call');
            await back.hearsNothingMore();
            back.leave();
        }
        assert.equal((await all.desk.outcomeOf(id)).type, 'ack');
        leaveAll(all);
    });

    test('again and again, in good order or replaced: nothing is lost, all in order', { timeout }, async () => {
        const HOPS = 40;
        const A_HOP = 20;
        const all = await answered(set);
        const { alice, bob, desk, callId } = all;
        let { phone } = all;
        const ids = [];
        const numbers = [];
        const take = ({ client }) =>
            numbers.push(...client.inbox.splice(0).map(({ data }) => data.n ?? data.type));
        const sendSome = () => {
            for (let i = 0; i < A_HOP; i++) {
                ids.push(desk.send('candidate', bob, callId, { n: ids.length }));
            }
        };
        for (let hop = 0; hop < HOPS; hop++) {
            const old = phone;
            sendSome();
            if (hop % 2 === 0) {
                await old.goAway();
                sendSome();
                phone = await old.comeBack(hop % 3);
            } else {
                phone = await old.comeBack(hop % 3);
                assert.equal((await old.client.ended).code, 4501);
            }
            take(old);
            sendSome();
            await phone.does('candidate', alice, callId, { hop });
            assert.equal((await desk.hears('candidate')).hop, hop);
        }
        for (const id of ids) {
            assert.equal((await desk.outcomeOf(id)).type, 'ack');
        }
        await phone.settle();
        take(phone);
        assert.deepEqual(numbers, [...ids.keys()]);
        await desk.does('end', bob, callId);
        await phone.hears('end');
        leaveAll(all);
        phone.leave();
    });

    test('a callee who has just gone is waited for; a new device will do', { timeout }, async () => {
        const all = await cast(set);
        const { alice, bob, desk, callId } = all;
        await all.phone.goAway();
        await all.laptop.goAway();
        const start = desk.send('start', bob, callId);
        const offer = desk.send('offer', bob, callId);
        const tablet = await Device.connect(set, 1, bob, 'tablet');
        assert.equal((await tablet.client.next()).type, 'call-start');
        assert.equal((await tablet.client.next()).type, 'call-offer');
        assert.equal((await desk.outcomeOf(start)).type, 'ack');
        assert.equal((await desk.outcomeOf(offer)).type, 'ack');
        await tablet.does('accept', alice, callId);
        assert.equal((await desk.hears('accept')).fromDevice, 'tablet');
        leaveAll(all);
        tablet.leave();
    });
});

describe('when time is over', () => {
    let patient; /* who is away is away for long; it rings but a moment */
    let strict; /* the other way round */
    before(async () => {
        const start = (brokerFlags) => startSet({ gateways: 3, brokerFlags });
        [patient, strict] = await Promise.all([
            start({ 'ring-ms': SOON_MS }),
            start({ 'call-grace-ms': SOON_MS, 'hold-ms': SOON_MS }),
        ]);
    });
    after(() => Promise.all([patient.stop(), strict.stop()]));

    test('nobody answers: missed, and no-answer', { timeout }, async () => {
        const all = await cast(patient);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await desk.does('start', bob, callId);
        const { expiresInMs } = await phone.hears('start');
        assert.ok(expiresInMs <= SOON_MS, `${expiresInMs}`);
        assert.deepEqual(await desk.hears('end'), said('end', bob, callId, 'no-answer'));
        for (const device of [phone, laptop]) {
            assert.deepEqual(await device.hears('cancel'), said('cancel', alice, callId, 'missed'));
            assert.equal(await device.says('accept', alice, callId), 'no-such-call');
        }
        assert.equal(await desk.says('cancel', bob, callId), 'no-such-call');
        await desk.hearsNothingMore();
        leaveAll(all);
    });

    test('a call that has been answered is not missed', { timeout }, async () => {
        const missed = await cast(patient);
        const all = await cast(patient);
        await all.desk.does('start', all.bob, all.callId);
        await all.phone.hears('start');
        await all.phone.does('accept', all.alice, all.callId);
        await all.desk.hears('accept');
        /* One that began later has been missed by now. */
        await missed.desk.does('start', missed.bob, missed.callId);
        await missed.desk.hears('end');
        await all.laptop.hears('start');
        await all.laptop.hears('cancel');
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        await all.desk.does('end', all.bob, all.callId);
        leaveAll(all);
        leaveAll(missed);
    });

    test('a device that was away when it was missed hears so', { timeout }, async () => {
        const all = await cast(patient);
        await all.desk.does('start', all.bob, all.callId);
        await all.laptop.hears('start');
        await all.laptop.goAway();
        await all.desk.hears('end');
        const back = await all.laptop.comeBack(0);
        assert.deepEqual(
            await back.hears('cancel'),
            said('cancel', all.alice, all.callId, 'missed'),
        );
        leaveAll(all);
        back.leave();
    });

    for (const who of ['phone', 'desk']) {
        test(`connection-lost: the ${who} does not come back`, { timeout }, async () => {
            const all = await answered(strict);
            const { alice, bob, desk, phone, laptop, callId } = all;
            const [gone, left] = who === 'phone' ? [phone, desk] : [desk, phone];
            await gone.goAway();
            assert.deepEqual(
                await left.hears('end'),
                said('end', gone.userId, callId, 'connection-lost'),
            );
            assert.equal(await left.says('end', gone.userId, callId), 'no-such-call');
            const back = await gone.comeBack(0);
            const to = who === 'phone' ? alice : bob;
            assert.equal(await back.says('offer', to, callId), 'no-such-call');
            await laptop.hearsNothingMore();
            leaveAll(all);
            back.leave();
        });
    }

    test('connection-lost: the caller does not come back while it rings', { timeout }, async () => {
        const all = await ringing(strict);
        await all.desk.goAway();
        for (const device of [all.phone, all.laptop]) {
            assert.deepEqual(
                await device.hears('cancel'),
                said('cancel', all.alice, all.callId, 'connection-lost'),
            );
            assert.equal(await device.says('accept', all.alice, all.callId), 'no-such-call');
        }
        leaveAll(all);
    });

    test('unreachable: all devices of the callee have gone while it rings', { timeout }, async () => {
        const all = await ringing(strict);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await phone.goAway();
        await laptop.goAway();
        assert.deepEqual(await desk.hears('end'), said('end', bob, callId, 'unreachable'));
        assert.equal(await desk.says('cancel', bob, callId), 'no-such-call');
        const back = await phone.comeBack(0);
        assert.equal(await back.says('accept', alice, callId), 'no-such-call');
        leaveAll(all);
        back.leave();
    });

    test('what is sent to one that stays away has its outcome', { timeout }, async () => {
        const all = await answered(strict);
        await all.phone.goAway();
        const id = all.desk.send('offer', all.bob, all.callId);
        assert.equal((await all.desk.hears('end')).reason, 'connection-lost');
        assert.equal((await all.desk.outcomeOf(id)).code, 'user-offline');
        leaveAll(all);
    });

    test('a callee who has gone and stays away: user-offline', { timeout }, async () => {
        const all = await cast(strict);
        await all.phone.goAway();
        await all.laptop.goAway();
        assert.equal(await all.desk.says('start', all.bob, all.callId), 'user-offline');
        assert.equal(await all.desk.says('cancel', all.bob, all.callId), 'no-such-call');
        await all.desk.hearsNothingMore();
        leaveAll(all);
    });
});

describe('bounds', () => {
    const USER_MAX = 3;
    const ALL_MAX = 4;
    let set;
    before(async () => {
        const brokerFlags = { 'calls-user-max': USER_MAX, 'calls-max': ALL_MAX };
        set = await startSet({ gateways: 3, brokerFlags });
    });
    after(() => set.stop());

    test('of a user, and of all', { timeout }, async () => {
        const one = await cast(set);
        const other = await cast(set);
        const calls = [];
        for (let i = 0; i < USER_MAX; i++) {
            const callId = fresh('call');
            calls.push(callId);
            await one.desk.does('start', one.bob, callId);
        }
        /* The caller's, the callee's, whichever device. */
        const refused = fresh('call');
        const { message, ...error } = await one.desk.fails('start', other.bob, refused, { id: 1 });
        assert.deepEqual(error, {
            type: 'error',
            code: 'too-many-calls',
            to: other.bob,
            id: 1,
            callId: refused,
        });
        assert.equal(await other.desk.says('start', one.bob, fresh('call')), 'too-many-calls');
        assert.equal(await one.laptop.says('start', other.bob, fresh('call')), 'too-many-calls');

        const last = fresh('call');
        await other.desk.does('start', other.bob, last);
        assert.equal(await other.phone.says('start', one.alice, fresh('call')), 'too-many-calls');
        const third = await cast(set);
        assert.equal(await third.desk.says('start', third.bob, third.callId), 'too-many-calls');

        /* One that is over makes room; an answered one is one still. */
        await other.phone.does('accept', other.alice, last);
        assert.equal(await third.desk.says('start', third.bob, third.callId), 'too-many-calls');
        await one.desk.does('cancel', one.bob, calls[0]);
        await third.desk.does('start', third.bob, third.callId);
        assert.equal(await one.desk.says('start', one.bob, fresh('call')), 'too-many-calls');
        await third.desk.does('cancel', third.bob, third.callId);
        await one.desk.does('start', one.bob, fresh('call'));
        [one, other, third].forEach(leaveAll);
    });
});
