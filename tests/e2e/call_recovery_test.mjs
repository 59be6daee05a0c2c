/* Calls outlive the processes that carry them: a broker that is killed while one rings or stands, a
 * gateway that is killed or told to end, both of them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Device, answered, calling, cast, fresh, leaveAll, ringing, said } from './calls.mjs';
import { startSet } from './harness.mjs';

const timeout = 60000;
const SOON_MS = 500;
const GOING_AWAY = 1001;

/* Kills the broker; `meanwhile` happens while there is none; then there is one again, that all
 * gateways have found. */
async function replaceBroker(set, meanwhile = async () => {}) {
    const marks = set.gateways.map((gateway) => gateway.mark());
    await set.broker.kill();
    await Promise.all(set.gateways.map((each, slot) => each.waitFor(/link-down/, marks[slot])));
    await meanwhile();
    await set.startBroker();
    await Promise.all(set.gateways.map((_, slot) => set.linked(slot, marks[slot])));
}

describe('a broker that is killed', () => {
    let set;
    before(async () => {
        set = await startSet({ gateways: 3 });
    });
    after(() => set.stop());

    /* Nobody has heard of the call but who should; it ends, and all know so. */
    async function endAndCheck(all) {
        await all.desk.does('end', all.bob, all.callId);
        await all.phone.hears('end');
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        assert.equal(await all.phone.says('end', all.alice, all.callId), 'no-such-call');
        leaveAll(all);
    }

    async function acceptAndCheck(all) {
        const { alice, desk, phone, laptop, callId } = all;
        await phone.does('accept', alice, callId);
        assert.equal((await desk.hears('accept')).fromDevice, 'phone');
        assert.deepEqual(
            await laptop.hears('cancel'),
            said('cancel', alice, callId, 'answered-elsewhere'),
        );
        assert.equal(await laptop.says('accept', alice, callId), 'answered-elsewhere');
    }

    for (const [state, make] of [
        ['has begun', calling],
        ['rings', ringing],
    ]) {
        test(`while a call ${state}: one device accepts, the other stops`, { timeout }, async () => {
            const all = await make(set);
            await replaceBroker(set);
            await acceptAndCheck(all);
            await endAndCheck(all);
        });
    }

    test('while a call rings: it can be rejected, cancelled, left by a device', { timeout }, async () => {
        const [rejected, cancelled, left] = [
            await ringing(set),
            await ringing(set),
            await ringing(set),
        ];
        await replaceBroker(set);
        await rejected.phone.does('reject', rejected.alice, rejected.callId, { reason: 'no' });
        assert.equal((await rejected.desk.hears('reject')).reason, 'no');
        assert.equal((await rejected.laptop.hears('cancel')).reason, 'rejected-elsewhere');
        await cancelled.desk.does('cancel', cancelled.bob, cancelled.callId);
        await cancelled.phone.hears('cancel');
        await cancelled.laptop.hears('cancel');
        await left.phone.does('reject', left.alice, left.callId, { scope: 'device' });
        await left.laptop.does('reject', left.alice, left.callId, { scope: 'device' });
        assert.equal((await left.desk.hears('reject')).fromDevice, 'laptop');
        for (const all of [rejected, cancelled, left]) {
            for (const device of all.devices) {
                await device.hearsNothingMore();
            }
            leaveAll(all);
        }
    });

    test('while a call stands: it goes on, and ends', { timeout }, async () => {
        const all = await answered(set);
        await replaceBroker(set);
        await all.desk.does('offer', all.bob, all.callId);
        assert.equal((await all.phone.hears('offer')).fromDevice, 'desk');
        await all.phone.does('answer', all.alice, all.callId);
        await all.desk.hears('answer');
        assert.equal(await all.desk.says('cancel', all.bob, all.callId), 'already-answered');
        await endAndCheck(all);
    });

    test('again and again, at each step of one call', { timeout }, async () => {
        const all = await calling(set);
        await replaceBroker(set);
        await replaceBroker(set);
        await all.phone.does('ringing', all.alice, all.callId);
        await all.desk.hears('ringing');
        await replaceBroker(set);
        await acceptAndCheck(all);
        await replaceBroker(set);
        await replaceBroker(set);
        await all.phone.does('offer', all.alice, all.callId);
        await all.desk.hears('offer');
        await replaceBroker(set);
        await endAndCheck(all);
    });

    test('what was sent while there was none has its effect', { timeout }, async () => {
        const [first, second, third] = [await ringing(set), await answered(set), await cast(set)];
        const ids = [];
        await replaceBroker(set, async () => {
            ids.push([first.phone, first.phone.send('accept', first.alice, first.callId)]);
            ids.push([second.desk, second.desk.send('offer', second.bob, second.callId)]);
            ids.push([second.desk, second.desk.send('end', second.bob, second.callId)]);
            ids.push([third.desk, third.desk.send('start', third.bob, third.callId)]);
        });
        assert.equal((await first.desk.hears('accept')).fromDevice, 'phone');
        assert.equal((await first.laptop.hears('cancel')).reason, 'answered-elsewhere');
        await second.phone.hears('offer');
        await second.phone.hears('end');
        await third.phone.hears('start');
        await third.laptop.hears('start');
        for (const [device, id] of ids) {
            assert.equal((await device.outcomeOf(id)).type, 'ack');
        }
        for (const all of [first, second, third]) {
            for (const device of all.devices) {
                await device.hearsNothingMore();
            }
            leaveAll(all);
        }
    });

    test('both accept while there is none: one wins, and all agree', { timeout }, async () => {
        const all = await ringing(set);
        const { alice, desk, phone, laptop, callId } = all;
        const ids = [];
        await replaceBroker(set, async () => {
            ids.push(phone.send('accept', alice, callId), laptop.send('accept', alice, callId));
        });
        const outcomes = [await phone.outcomeOf(ids[0]), await laptop.outcomeOf(ids[1])];
        const [one, other] = outcomes[0].type === 'ack' ? [phone, laptop] : [laptop, phone];
        assert.deepEqual(
            outcomes.map(({ code, type }) => code ?? type).toSorted(),
            ['ack', 'answered-elsewhere'],
        );
        assert.equal((await desk.hears('accept')).fromDevice, one.deviceId);
        assert.equal((await other.hears('cancel')).reason, 'answered-elsewhere');
        await one.does('end', alice, callId);
        await desk.hears('end');
        for (const device of all.devices) {
            await device.hearsNothingMore();
        }
        leaveAll(all);
    });

    test('one that comes back while there is none goes on with its call', { timeout }, async () => {
        const all = await answered(set);
        const { alice, bob, desk, phone, callId } = all;
        await phone.goAway();
        let coming = null;
        await replaceBroker(set, async () => {
            coming = phone.comeBack(0);
        });
        const back = await coming;
        await back.does('offer', alice, callId);
        await desk.hears('offer');
        await desk.does('end', bob, callId);
        await back.hears('end');
        leaveAll(all);
        back.leave();
    });

    test('calls of others are still others\'', { timeout }, async () => {
        const all = await answered(set);
        await replaceBroker(set);
        const eve = await Device.connect(set, 1, fresh('eve'), 'e');
        assert.equal(await eve.says('end', all.alice, all.callId), 'not-in-call');
        assert.equal(await eve.says('start', all.alice, all.callId), 'call-exists');
        await endAndCheck(all);
        eve.leave();
    });
});

describe('a broker that is killed again and again', () => {
    const CASTS = 6;
    const KILLS = 12;
    const IN_DOUBT = ['unconfirmed', 'unavailable'];

    /* As PROTOCOL.md has it: the same message again until it is known what became of it. */
    async function insists(device, type, to, callId) {
        const id = fresh('m');
        for (;;) {
            const outcome = await device.says(type, to, callId, { id });
            if (!IN_DOUBT.includes(outcome)) {
                return outcome;
            }
        }
    }

    /* A call from start to end, both of bob's devices at it; each hears what it should, once. */
    async function play({ alice, bob, desk, phone, laptop }, callId) {
        assert.equal(await insists(desk, 'start', bob, callId), 'ack');
        await phone.hears('start', callId);
        await laptop.hears('start', callId);
        const results = await Promise.all([
            insists(phone, 'accept', alice, callId),
            insists(laptop, 'accept', alice, callId),
        ]);
        const [winner, loser] = results[0] === 'ack' ? [phone, laptop] : [laptop, phone];
        assert.deepEqual(results.toSorted(), ['ack', 'answered-elsewhere'], callId);
        assert.equal((await desk.hears('accept', callId)).fromDevice, winner.deviceId);
        assert.equal((await loser.hears('cancel', callId)).reason, 'answered-elsewhere');
        assert.equal(await insists(winner, 'offer', alice, callId), 'ack');
        await desk.hears('offer', callId);
        /* A broker that never knew of it says that there is none: it has been ended before. */
        assert.ok(['ack', 'no-such-call'].includes(await insists(desk, 'end', bob, callId)));
        await winner.hears('end', callId);
    }

    test('under a stream of calls: each goes its way', { timeout }, async (context) => {
        const set = await startSet({ gateways: 3 });
        const casts = await Promise.all(Array.from({ length: CASTS }, () => cast(set)));
        let isOver = false;
        let played = 0;
        const streams = Promise.all(
            casts.map(async (all) => {
                while (!isOver) {
                    await play(all, fresh('storm'));
                    played++;
                }
                for (const device of all.devices) {
                    await device.hearsNothingMore();
                }
            }),
        );
        const stop = () => (isOver = true);
        streams.then(stop, stop);
        for (let kill = 0; kill < KILLS && !isOver; kill++) {
            const goal = played + 5 + kill;
            while (played < goal && !isOver) {
                await new Promise((resolve) => setImmediate(resolve));
            }
            await replaceBroker(set);
        }
        isOver = true;
        await streams;
        context.diagnostic(`${played} calls, ${KILLS} brokers`);
        await set.stop();
    });
});

describe('a broker that is killed, and time', () => {
    test('it rings no longer than it was to', { timeout }, async () => {
        const set = await startSet({ gateways: 3, brokerFlags: { 'ring-ms': 4 * SOON_MS } });
        const all = await calling(set);
        await replaceBroker(set);
        assert.deepEqual(
            await all.desk.hears('end'),
            said('end', all.bob, all.callId, 'no-answer'),
        );
        for (const device of [all.phone, all.laptop]) {
            assert.deepEqual(
                await device.hears('cancel'),
                said('cancel', all.alice, all.callId, 'missed'),
            );
        }
        await set.stop();
    });

    test('a party that does not come back is missed by the next one', { timeout }, async () => {
        const set = await startSet({ gateways: 3, brokerFlags: { 'call-grace-ms': SOON_MS } });
        const all = await answered(set);
        await replaceBroker(set, () => all.phone.goAway());
        assert.deepEqual(
            await all.desk.hears('end'),
            said('end', all.bob, all.callId, 'connection-lost'),
        );
        const again = await answered(set);
        await replaceBroker(set, () => again.desk.goAway());
        assert.deepEqual(
            await again.phone.hears('end'),
            said('end', again.alice, again.callId, 'connection-lost'),
        );
        const rings = await ringing(set);
        await replaceBroker(set, () => rings.desk.goAway());
        for (const device of [rings.phone, rings.laptop]) {
            assert.deepEqual(
                await device.hears('cancel'),
                said('cancel', rings.alice, rings.callId, 'connection-lost'),
            );
        }
        await set.stop();
    });
});

describe('a gateway that is killed', () => {
    /* With the device on that gateway; whoever is on it has lost its connection then. */
    async function killGateway(set, slot, device) {
        await set.gateways[slot].kill();
        await device.client.ended;
        await set.broker.waitFor(new RegExp(`link-down.* slot=${slot}\\b`));
    }

    async function reviveGateway(set, slot) {
        await set.startGateway(slot);
        await set.linked(slot);
    }

    test('its device goes on elsewhere, and gets what waited', { timeout }, async () => {
        const set = await startSet({ gateways: 3 });
        const all = await answered(set);
        const { alice, bob, desk, phone, callId } = all;
        await killGateway(set, 1, phone);
        const ids = ['offer', 'candidate', 'candidate'].map((move) => desk.send(move, bob, callId));
        const back = await phone.comeBack(2);
        for (const move of ['offer', 'candidate', 'candidate']) {
            assert.equal((await back.client.next()).type, `call-${move}`);
        }
        for (const id of ids) {
            assert.equal((await desk.outcomeOf(id)).type, 'ack');
        }
        await back.does('end', alice, callId);
        await desk.hears('end');
        await reviveGateway(set, 1);
        await set.stop();
    });

    test('while it rings: the caller\'s, then one of the callee\'s', { timeout }, async () => {
        const set = await startSet({ gateways: 3 });
        const all = await ringing(set);
        const { alice, bob, desk, phone, laptop, callId } = all;
        await killGateway(set, 0, desk);
        const id = phone.send('ringing', alice, callId);
        const back = await desk.comeBack(1);
        await back.hears('ringing');
        assert.equal((await phone.outcomeOf(id)).type, 'ack');
        await killGateway(set, 2, laptop);
        await phone.does('accept', alice, callId);
        assert.equal((await back.hears('accept')).fromDevice, 'phone');
        const again = await laptop.comeBack(1);
        assert.deepEqual(
            await again.hears('cancel'),
            said('cancel', alice, callId, 'answered-elsewhere'),
        );
        await back.does('end', bob, callId);
        await phone.hears('end');
        await reviveGateway(set, 0);
        await reviveGateway(set, 2);
        await set.stop();
    });

    test('its device does not come back in time: connection-lost', { timeout }, async () => {
        const brokerFlags = { 'call-grace-ms': SOON_MS };
        const set = await startSet({ gateways: 3, brokerFlags });
        const all = await answered(set);
        await killGateway(set, 1, all.phone);
        assert.deepEqual(
            await all.desk.hears('end'),
            said('end', all.bob, all.callId, 'connection-lost'),
        );
        const back = await all.phone.comeBack(2);
        assert.equal(await back.says('end', all.alice, all.callId), 'no-such-call');
        await reviveGateway(set, 1);
        const rings = await ringing(set);
        await killGateway(set, 0, rings.desk);
        for (const device of [rings.phone, rings.laptop]) {
            assert.equal((await device.hears('cancel')).reason, 'connection-lost');
        }
        await reviveGateway(set, 0);
        await set.stop();
    });

    test('and the broker with it: the other party\'s gateway knows of the call', { timeout }, async () => {
        const set = await startSet({ gateways: 3 });
        const [stands, rings] = [await answered(set), await ringing(set)];
        await set.gateways[1].kill();
        await stands.phone.client.ended;
        const marks = set.gateways.map((gateway) => gateway.mark());
        await set.broker.kill();
        await set.startBroker();
        await Promise.all([0, 2].map((slot) => set.linked(slot, marks[slot])));
        const back = await stands.phone.comeBack(2);
        const id = stands.desk.send('offer', stands.bob, stands.callId);
        await back.hears('offer');
        assert.equal((await stands.desk.outcomeOf(id)).type, 'ack');
        await back.does('end', stands.alice, stands.callId);
        await stands.desk.hears('end');
        await rings.laptop.does('accept', rings.alice, rings.callId);
        assert.equal((await rings.desk.hears('accept')).fromDevice, 'laptop');
        await reviveGateway(set, 1);
        await set.stop();
    });
});

describe('a gateway that is told to end', () => {
    test('calls on it go on elsewhere, and nothing of them is lost', { timeout }, async () => {
        const set = await startSet({ gateways: 3 });
        const all = await answered(set);
        const { alice, bob, desk, callId } = all;
        let { phone } = all;
        for (let round = 0; round < 4; round++) {
            const slot = 1 + (round % 2);
            set.gateways[slot].signal('SIGTERM');
            const ids = Array.from({ length: 20 }, (_, n) =>
                desk.send('candidate', bob, callId, { n }),
            );
            assert.equal((await phone.client.ended).code, GOING_AWAY);
            const before = phone.client.inbox.splice(0);
            phone = await phone.comeBack(3 - slot);
            const numbers = before.filter(({ data }) => data.n !== undefined).map(({ data }) => data.n);
            for (let n = numbers.length; n < ids.length; n++) {
                numbers.push((await phone.hears('candidate')).n);
            }
            assert.deepEqual(numbers, [...ids.keys()]);
            for (const id of ids) {
                assert.equal((await desk.outcomeOf(id)).type, 'ack');
            }
            await set.gateways[slot].ended;
            await set.startGateway(slot);
            await set.linked(slot);
        }
        await phone.does('end', alice, callId);
        await desk.hears('end');
        await phone.hearsNothingMore();
        await set.stop();
    });
});
