/* Two moves at the same moment, a thousand times each, from devices on gateways of their own: there
 * is one outcome, all who have a part in the call agree on it, and both moves never win. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { cast, fresh, leaveAll } from './calls.mjs';
import { startSet } from './harness.mjs';

const timeout = 120000;
const CASTS = 10;
const ROUNDS_EACH = 100;

describe('races', () => {
    let set;
    let casts;
    before(async () => {
        set = await startSet({ gateways: 3 });
        casts = await Promise.all(Array.from({ length: CASTS }, () => cast(set)));
    });
    after(async () => {
        casts.forEach(leaveAll);
        await set.stop();
    });

    /* Plays `round` a thousand times, and says how often each outcome that it names came about;
     * all connections serve all rounds. */
    async function count(context, outcomes, round) {
        const counts = Object.fromEntries(outcomes.map((outcome) => [outcome, 0]));
        const begin = performance.now();
        await Promise.all(
            casts.map(async (all) => {
                for (let i = 0; i < ROUNDS_EACH; i++) {
                    counts[await round(all, i, fresh('race'))]++;
                }
                for (const device of all.devices) {
                    await device.hearsNothingMore();
                }
            }),
        );
        assert.deepEqual(Object.keys(counts), outcomes);
        const sum = Object.values(counts).reduce((total, each) => total + each, 0);
        assert.equal(sum, CASTS * ROUNDS_EACH);
        const seconds = ((performance.now() - begin) / 1000).toFixed(1);
        context.diagnostic(`${JSON.stringify(counts)} in ${seconds} s`);
        return counts;
    }

    async function start({ bob, desk, phone, laptop }, callId) {
        await desk.does('start', bob, callId);
        await phone.hears('start', callId);
        await laptop.hears('start', callId);
    }

    /* Makes the moves at once, the first one first in every other round. Each is [device, type,
     * to]. What became of them: 'ack', or a code. */
    async function atOnce(round, callId, moves) {
        const order = round % 2 === 0 ? moves : moves.toReversed();
        const ids = new Map(
            order.map((move) => {
                const [device, type, to] = move;
                return [move, device.send(type, to, callId)];
            }),
        );
        return Promise.all(
            moves.map(async (move) => {
                const { code, type } = await move[0].outcomeOf(ids.get(move));
                return code ?? type;
            }),
        );
    }

    /* The call stands between alice and `winner` and nobody else; ends it. */
    async function checkStands({ alice, bob, desk }, winner, callId, round) {
        assert.equal((await desk.hears('accept', callId)).fromDevice, winner.deviceId);
        const [one, to, other] =
            round % 2 === 0 ? [desk, bob, winner] : [winner, alice, desk];
        const offer = one.send('offer', to, callId);
        assert.equal((await other.hears('offer', callId)).fromDevice, one.deviceId);
        assert.equal((await one.outcomeOf(offer)).type, 'ack');
        await one.does('end', to, callId);
        await other.hears('end', callId);
    }

    async function checkHears(device, type, callId, reason) {
        assert.equal((await device.hears(type, callId)).reason, reason);
    }

    test('accept against accept', { timeout }, async (context) => {
        await count(context, ['phone', 'laptop'], async (all, round, callId) => {
            const { alice, phone, laptop } = all;
            await start(all, callId);
            const results = await atOnce(round, callId, [
                [phone, 'accept', alice],
                [laptop, 'accept', alice],
            ]);
            const [winner, loser] = results[0] === 'ack' ? [phone, laptop] : [laptop, phone];
            assert.deepEqual(results.toSorted(), ['ack', 'answered-elsewhere']);
            await checkHears(loser, 'cancel', callId, 'answered-elsewhere');
            await checkStands(all, winner, callId, round);
            return winner.deviceId;
        });
    });

    test('accept against cancel', { timeout }, async (context) => {
        await count(context, ['accepted', 'cancelled'], async (all, round, callId) => {
            const { alice, bob, desk, phone, laptop } = all;
            await start(all, callId);
            const results = await atOnce(round, callId, [
                [phone, 'accept', alice],
                [desk, 'cancel', bob],
            ]);
            if (results[0] === 'ack') {
                assert.equal(results[1], 'already-answered');
                await checkHears(laptop, 'cancel', callId, 'answered-elsewhere');
                await checkStands(all, phone, callId, round);
                return 'accepted';
            }
            assert.deepEqual(results, ['no-such-call', 'ack']);
            await checkHears(phone, 'cancel', callId);
            await checkHears(laptop, 'cancel', callId);
            return 'cancelled';
        });
    });

    test('reject against accept', { timeout }, async (context) => {
        await count(context, ['accepted', 'rejected'], async (all, round, callId) => {
            const { alice, desk, phone, laptop } = all;
            await start(all, callId);
            const results = await atOnce(round, callId, [
                [phone, 'accept', alice],
                [laptop, 'reject', alice],
            ]);
            if (results[0] === 'ack') {
                assert.equal(results[1], 'answered-elsewhere');
                await checkHears(laptop, 'cancel', callId, 'answered-elsewhere');
                await checkStands(all, phone, callId, round);
                return 'accepted';
            }
            assert.deepEqual(results, ['no-such-call', 'ack']);
            assert.equal((await desk.hears('reject', callId)).fromDevice, 'laptop');
            await checkHears(phone, 'cancel', callId, 'rejected-elsewhere');
            return 'rejected';
        });
    });

    test('glare: the call that stands is accepted', { timeout }, async (context) => {
        await count(context, ['alice', 'bob'], async (all, round, callId) => {
            const { alice, bob, desk, phone, laptop } = all;
            const other = `${callId}-back`;
            const ids = { desk: null, phone: null };
            const starts = [
                () => (ids.desk = desk.send('start', bob, callId)),
                () => (ids.phone = phone.send('start', alice, other)),
            ];
            (round % 2 === 0 ? starts : starts.toReversed()).forEach((send) => send());
            const outcomes = [await desk.outcomeOf(ids.desk), await phone.outcomeOf(ids.phone)];
            const [first, second] = outcomes.map(({ code, type }) => code ?? type);
            if (first === 'ack') {
                assert.deepEqual([second, outcomes[1].callId], ['glare', callId]);
                await phone.does('accept', alice, outcomes[1].callId);
                await phone.hears('start', callId);
                await laptop.hears('start', callId);
                await checkHears(laptop, 'cancel', callId, 'answered-elsewhere');
                await checkStands(all, phone, callId, round);
                return 'alice';
            }
            assert.deepEqual([first, second, outcomes[0].callId], ['glare', 'ack', other]);
            await desk.does('accept', bob, other);
            await desk.hears('start', other);
            assert.equal((await phone.hears('accept', other)).fromDevice, 'desk');
            await phone.does('end', alice, other);
            await desk.hears('end', other);
            return 'bob';
        });
    });
});
