/* The framing of RFC 6455 as a hostile or clumsy client bends it: each mistake ends its own
 * connection with the code that the RFC names, and touches nobody else. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { OPCODE, closePayload, frame, startSet } from './harness.mjs';

const timeout = 30000;
const MESSAGE = JSON.stringify({ type: 'call-ringing', to: 'bystander-b', tag: 'split' });
const OVERLONG_126 = [126, 0, 5];
const OVERLONG_127 = [127, 0, 0, 0, 0, 0, 0, 0, 5];
const TOP_BIT = [127, 0x80, 0, 0, 0, 0, 0, 0, 0];

function text(payload, rest = {}) {
    return frame({ opcode: OPCODE.TEXT, payload, ...rest });
}

function close(payload) {
    return frame({ opcode: OPCODE.CLOSE, payload });
}

const failures = {
    'an unmasked frame': [1002, text('{}', { isMasked: false })],
    'RSV1': [1002, text('{}', { rsv: 4 })],
    'RSV2': [1002, text('{}', { rsv: 2 })],
    'RSV3': [1002, text('{}', { rsv: 1 })],
    ...Object.fromEntries(
        [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [
            `opcode ${opcode}`,
            [1002, frame({ opcode })],
        ]),
    ),
    'a continuation of nothing': [1002, frame({ opcode: OPCODE.CONTINUATION, payload: 'a' })],
    'a message inside a message': [1002, text('{', { isFinal: false }), text('{}')],
    'a fragmented ping': [1002, frame({ opcode: OPCODE.PING, isFinal: false })],
    'a fragmented close': [1002, frame({ opcode: OPCODE.CLOSE, isFinal: false })],
    'a ping of 126 bytes': [1002, frame({ opcode: OPCODE.PING, payload: 'a'.repeat(126) })],
    'a close of 126 bytes': [1002, close(closePayload(1000, 'a'.repeat(124)))],
    'a 16-bit length that fits 7 bits': [1002, text('hello', { lengthBytes: OVERLONG_126 })],
    'a 64-bit length that fits 7 bits': [1002, text('hello', { lengthBytes: OVERLONG_127 })],
    'a length with its top bit set': [1002, text('', { lengthBytes: TOP_BIT })],
    'a close of one byte': [1002, close([3])],
    ...Object.fromEntries(
        [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map((code) => [
            `a close with code ${code}`,
            [1002, close(closePayload(code))],
        ]),
    ),
    'a close reason that is not UTF-8': [1007, close([0x03, 0xe8, 0xff])],
    'a binary message': [1003, frame({ opcode: OPCODE.BINARY, payload: '{}' })],
    'text that is not UTF-8': [1007, text([0x22, 0xff, 0x22])],
    'an encoded surrogate': [1007, text([0xed, 0xa0, 0x80])],
    'text that ends inside a character': [1007, text([0x22, 0xe2, 0x82])],
    'bad UTF-8 over two fragments': [
        1007,
        text([0xe2, 0x82], { isFinal: false }),
        frame({ opcode: OPCODE.CONTINUATION, payload: [0x28] }),
    ],
    'bad UTF-8 in a message that never ends': [1007, text([0xff], { isFinal: false })],
    'a message over the limit': [1009, text('a'.repeat(65537))],
    'a length over the limit, before its payload': [
        1009,
        text('', { lengthBytes: [127, 0, 0, 0, 1, 0, 0, 0, 0] }),
    ],
    'fragments that exceed the limit together': [
        1009,
        text('a'.repeat(40000), { isFinal: false }),
        frame({ opcode: OPCODE.CONTINUATION, payload: 'a'.repeat(40000) }),
    ],
};

const answers = {
    'a plain close': [close(closePayload(1000)), 1000],
    'a close with a reason': [close(closePayload(1001, 'bye')), 1001],
    'a close of the application': [close(closePayload(4999, 'é')), 4999],
    'an empty close': [close(''), undefined],
};

describe('frames', () => {
    let set;
    let bystanders;
    before(async () => {
        set = await startSet();
        bystanders = [await set.connect(0, 'bystander-a'), await set.connect(0, 'bystander-b')];
    });
    after(() => set.stop());

    /* Two who have nothing to do with it still reach one another. */
    async function checkBystanders() {
        const tag = `${Math.random()}`;
        bystanders[0].send({ type: 'call-ringing', to: 'bystander-b', tag });
        assert.equal((await bystanders[1].next()).tag, tag);
    }

    async function openRaw() {
        const raw = await set.raw();
        await raw.open({ target: '/?userId=mallory' });
        return raw;
    }

    async function checkClose(raw, code) {
        const answer = await raw.frame();
        assert.equal(answer.opcode, OPCODE.CLOSE, answer.text);
        assert.equal(answer.code, code, answer.text);
        assert.equal((await raw.rest()).length, 0, 'nothing follows a close');
    }

    for (const [name, [code, ...frames]] of Object.entries(failures)) {
        test(`${name}: ${code}`, { timeout }, async () => {
            const whole = await openRaw();
            whole.write(Buffer.concat(frames));
            await checkClose(whole, code);
            await checkBystanders();
        });
    }

    for (const name of ['an unmasked frame', 'a ping of 126 bytes', 'text that is not UTF-8']) {
        test(`${name}, byte by byte`, { timeout }, async () => {
            const [code, ...frames] = failures[name];
            const raw = await openRaw();
            raw.socket.on('error', () => {});
            await raw.writeSlowly(Buffer.concat(frames));
            await checkClose(raw, code);
            await checkBystanders();
        });
    }

    for (const [name, [bytes, code]] of Object.entries(answers)) {
        test(`${name} is answered in kind`, { timeout }, async () => {
            const raw = await openRaw();
            raw.write(bytes);
            await checkClose(raw, code);
        });
    }

    test('what follows a close is not read', { timeout }, async () => {
        const raw = await openRaw();
        raw.write(Buffer.concat([close(closePayload(1000)), text(MESSAGE)]));
        await checkClose(raw, 1000);
        await checkBystanders();
    });

    test('a ping is answered in kind, in the midst of a message', { timeout }, async () => {
        const raw = await openRaw();
        const half = MESSAGE.length / 2;
        raw.write(text(MESSAGE.slice(0, half), { isFinal: false }));
        raw.write(frame({ opcode: OPCODE.PING, payload: 'p'.repeat(125) }));
        const pong = await raw.frame();
        assert.equal(pong.opcode, OPCODE.PONG);
        assert.equal(pong.text, 'p'.repeat(125));
        raw.write(frame({ opcode: OPCODE.CONTINUATION, payload: MESSAGE.slice(half) }));
        assert.equal((await bystanders[1].next()).tag, 'split');
        raw.terminate();
    });

    test('a pong that nobody asked for is fine', { timeout }, async () => {
        const raw = await openRaw();
        raw.write(frame({ opcode: OPCODE.PONG, payload: 'a' }));
        raw.write(text(MESSAGE));
        assert.equal((await bystanders[1].next()).tag, 'split');
        raw.terminate();
    });

    test('a message in many fragments, empty ones too, byte by byte', { timeout }, async () => {
        const raw = await openRaw();
        const pieces = [...MESSAGE].flatMap((letter) => [letter, '']);
        const frames = pieces.map((payload, i) => {
            const opcode = i === 0 ? OPCODE.TEXT : OPCODE.CONTINUATION;
            return frame({ opcode, payload, isFinal: i === pieces.length - 1 });
        });
        await raw.writeSlowly(Buffer.concat(frames));
        assert.equal((await bystanders[1].next()).tag, 'split');
        raw.terminate();
    });

    test('one that vanishes inside a frame leaves no trace', { timeout }, async () => {
        for (const cut of [1, 2, 5, 6, 20]) {
            const raw = await openRaw();
            raw.write(text(MESSAGE).subarray(0, cut));
            raw.socket.end();
            await raw.rest();
        }
        await checkBystanders();
        assert.equal(bystanders[1].inbox.length, 0);
    });
});
