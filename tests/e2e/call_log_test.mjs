/* The record of calls: a line in the broker's log and one in the file of --call-log for each call
 * that ends, whole, with how it ended; and the file's rotation. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Device, answered, calling, cast, fresh, leaveAll } from './calls.mjs';
import { makeDir, newSet, removeDir, startSet } from './harness.mjs';

const timeout = 60000;
const SOON_MS = 500;
const MEMBERS = 'event time callId caller callee device result reason ring_ms talk_ms'.split(' ');

/* The lines of a file, each of them whole. */
function linesOf(path) {
    const text = readFileSync(path, 'utf8');
    assert.ok(text === '' || text.endsWith('\n'), text.slice(-200));
    return text.split('\n').slice(0, -1).map((line) => JSON.parse(line));
}

/* The one line of a call. It is written behind the log's: that one is waited for first. */
async function lineIn(path, callId) {
    for (;;) {
        const found = linesOf(path).filter((line) => line.callId === callId);
        assert.ok(found.length <= 1, callId);
        if (found.length === 1) {
            return found[0];
        }
        await new Promise((resolve) => setImmediate(resolve));
    }
}

function checkLine(line) {
    assert.deepEqual(Object.keys(line), MEMBERS);
    assert.equal(line.event, 'call-ended');
    assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(Math.abs(Date.parse(line.time) - Date.now()) < 24 * 3600 * 1000, line.time);
    for (const member of ['ring_ms', 'talk_ms']) {
        assert.ok(Number.isInteger(line[member]) && line[member] >= 0, JSON.stringify(line));
    }
}

/* How a log line has a text: quoted, what is not plain as \xNN. */
function quoted(text) {
    const bytes = [...Buffer.from(text)].map((byte) => {
        const letter = String.fromCharCode(byte);
        const isPlain = byte >= 0x20 && byte < 0x7f && letter !== '"' && letter !== '\\';
        return isPlain ? letter : `\\x${byte.toString(16).padStart(2, '0')}`;
    });
    return `"${bytes.join('')}"`;
}

function escapedForPattern(text) {
    return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

describe('the record of calls', () => {
    let dir;
    let path;
    let set;
    before(async () => {
        dir = makeDir();
        path = join(dir, 'calls.log');
        const brokerFlags = {
            'call-log': path,
            'ring-ms': 2 * SOON_MS,
            'call-grace-ms': SOON_MS,
            'hold-ms': SOON_MS,
        };
        set = await startSet({ gateways: 3, brokerFlags });
    });
    after(async () => {
        await set.stop();
        removeDir(dir);
    });

    /* Of the one call: its line in the file, once its line in the log is there; one of each. */
    async function recordOf(callId) {
        const pattern = new RegExp(
            `^info call-ended callId=${escapedForPattern(quoted(callId))} caller=(".*") ` +
                'callee=(".*") device=(".*") result=(\\S+) reason=(".*") ring_ms=(\\d+) ' +
                'talk_ms=(\\d+)$',
        );
        const [, caller, callee, device, result, reason, ringMs, talkMs] =
            await set.broker.waitFor(pattern);
        assert.equal(set.broker.lines.filter((line) => pattern.test(line)).length, 1);
        const line = await lineIn(path, callId);
        checkLine(line);
        assert.deepEqual(
            [caller, callee, device, result, reason, Number(ringMs), Number(talkMs)],
            [
                ...[line.caller, line.callee, line.device].map(quoted),
                line.result,
                quoted(line.reason),
                line.ring_ms,
                line.talk_ms,
            ],
        );
        return line;
    }

    async function check(all, result, { device = '', reason = '' } = {}) {
        const line = await recordOf(all.callId);
        assert.deepEqual(
            [line.caller, line.callee, line.device, line.result, line.reason],
            [all.alice, all.bob, device, result, reason],
        );
        assert.ok(device !== '' || line.talk_ms === 0);
        leaveAll(all);
        return line;
    }

    test('completed, with the device that answered and the reason', { timeout }, async () => {
        const all = await answered(set);
        await all.phone.does('end', all.alice, all.callId, { reason: 'bye' });
        await check(all, 'completed', { device: 'phone', reason: 'bye' });
    });

    test('cancelled', { timeout }, async () => {
        const all = await calling(set);
        await all.desk.does('cancel', all.bob, all.callId);
        await check(all, 'cancelled');
    });

    test('rejected, with the reason', { timeout }, async () => {
        const all = await calling(set);
        await all.laptop.does('reject', all.alice, all.callId, { reason: 'b\u00fcsy "now"' });
        await check(all, 'rejected', { reason: 'b\u00fcsy "now"' });
    });

    test('missed', { timeout }, async () => {
        const all = await calling(set);
        await all.desk.hears('end');
        const line = await check(all, 'missed');
        assert.ok(line.ring_ms >= 2 * SOON_MS, `${line.ring_ms}`);
    });

    test('offline', { timeout }, async () => {
        const all = await cast(set);
        const bob = fresh('nobody');
        assert.equal(await all.desk.says('start', bob, all.callId), 'user-offline');
        await check({ ...all, bob }, 'offline');
        const gone = await cast(set);
        await gone.phone.goAway();
        await gone.laptop.goAway();
        assert.equal(await gone.desk.says('start', gone.bob, gone.callId), 'user-offline');
        await check(gone, 'offline');
    });

    test('unreachable', { timeout }, async () => {
        const all = await calling(set);
        await all.phone.goAway();
        await all.laptop.goAway();
        await all.desk.hears('end');
        await check(all, 'unreachable');
    });

    test('connection-lost, before the answer and after it', { timeout }, async () => {
        const rings = await calling(set);
        await rings.desk.goAway();
        await rings.phone.hears('cancel');
        await check(rings, 'connection-lost');
        const stands = await answered(set);
        await stands.phone.goAway();
        await stands.desk.hears('end');
        await check(stands, 'connection-lost', { device: 'phone' });
    });

    test('names and reasons that need escapes', { timeout }, async () => {
        const alice = fresh('a"\\ h\u00e9\u{1F600}');
        const bob = fresh("b'=");
        const callId = `${fresh('c')}"\\\n\u0001\u007f=`;
        const desk = await Device.connect(set, 0, alice, 'd"');
        const phone = await Device.connect(set, 1, bob, 'p\\');
        await desk.does('start', bob, callId);
        await phone.does('accept', alice, callId);
        await desk.does('end', bob, callId, { reason: 'x\n"y' });
        const all = { alice, bob, callId, devices: [desk, phone] };
        await check(all, 'completed', { device: 'p\\', reason: 'x\n"y' });
    });

    test('a reason that is too long, or no text, is carried and not recorded', { timeout }, async () => {
        for (const reason of ['r'.repeat(65), 7, null, { a: 1 }]) {
            const all = await answered(set);
            await all.desk.does('end', all.bob, all.callId, { reason });
            assert.deepEqual((await all.phone.hears('end')).reason, reason);
            await check(all, 'completed', { device: 'phone' });
        }
    });

    test('the file is opened anew on SIGHUP, and no line is lost', { timeout }, async () => {
        const aside = join(dir, 'calls.log.1');
        const endThree = async (file) => {
            const ids = [];
            for (let i = 0; i < 3; i++) {
                const all = await calling(set);
                await all.desk.does('cancel', all.bob, all.callId);
                await lineIn(file, all.callId);
                leaveAll(all);
                ids.push(all.callId);
            }
            return ids;
        };
        const before = await endThree(path);
        renameSync(path, aside);
        const between = await endThree(aside);
        assert.ok(!existsSync(path), 'it goes on with the file that it has');
        set.broker.signal('SIGHUP');
        while (!existsSync(path)) {
            await new Promise((resolve) => setImmediate(resolve));
        }
        const behind = await endThree(path);
        const idsOf = (file) => linesOf(file).map(({ callId }) => callId);
        assert.deepEqual(idsOf(aside).slice(-6), [...before, ...between]);
        assert.deepEqual(idsOf(path), behind);
        [...linesOf(aside), ...linesOf(path)].forEach(checkLine);
        assert.equal(set.broker.lines.filter((line) => /call-log-failed/.test(line)).length, 0);
    });

    test('a file that cannot be opened anew: it says so, and keeps the old one', { timeout }, async () => {
        const count = linesOf(path).length;
        const aside = join(dir, 'calls.log.2');
        renameSync(path, aside);
        renameSync(dir, `${dir}-moved`);
        try {
            const mark = set.broker.mark();
            set.broker.signal('SIGHUP');
            await set.broker.waitFor(/^error call-log-failed path=/, mark);
            const all = await calling(set);
            await all.desk.does('cancel', all.bob, all.callId);
            await lineIn(join(`${dir}-moved`, 'calls.log.2'), all.callId);
            leaveAll(all);
        } finally {
            renameSync(`${dir}-moved`, dir);
        }
        assert.equal(linesOf(aside).length, count + 1);
        set.broker.signal('SIGHUP');
    });
});

describe('without a file', () => {
    test('SIGHUP does nothing, and the log has its line', { timeout }, async () => {
        const set = await startSet();
        set.broker.signal('SIGHUP');
        const all = await calling(set);
        const mark = set.broker.mark();
        await all.desk.does('cancel', all.bob, all.callId);
        await set.broker.waitFor(/^info call-ended .* result=cancelled /, mark);
        await set.stop();
    });

    test('a file that cannot be opened at the start ends the broker', { timeout }, async () => {
        const set = newSet({ brokerFlags: { 'call-log': '/' } });
        await assert.rejects(set.startBroker(), /error call-log-failed path=\/ /);
        assert.equal((await set.broker.ended).status, 1);
        removeDir(set.dir);
    });
});
