/* The opening handshake over plain TCP: what is let in, and every refusal. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { frame, handshake, startSet } from './harness.mjs';
import { ACCEPT } from './raw.mjs';

const timeout = 30000;
const HEAD_MAX_BYTES = 8192;

/* A refusal says why in JSON, and ends the connection. */
async function checkRefused(set, bytes, status) {
    const raw = await set.raw();
    raw.write(bytes);
    const response = await raw.response();
    assert.equal(response.status, status, response.body.toString());
    assert.equal(response.headers['content-type'], 'application/json');
    assert.equal(Number(response.headers['content-length']), response.body.length);
    assert.equal(typeof JSON.parse(response.body).error, 'string');
    assert.match(response.headers.connection, /\bclose\b/);
    return response;
}

describe('handshake', () => {
    let set;
    before(async () => {
        set = await startSet({
            flags: { 'head-max-bytes': HEAD_MAX_BYTES, 'allowed-origins': 'https://call.example' },
        });
    });
    after(() => set.stop());

    const accepted = {
        'the plain one': {},
        'the path /ws': { target: '/ws?userId=alice' },
        'header names in any case': {
            headers: { Host: null, HOST: 'a', Upgrade: null, uPGRADE: 'WebSocket' },
        },
        'several tokens in Connection': { headers: { Connection: 'keep-alive, Upgrade' } },
        'tokens over two Connection lines': { headers: { Connection: ['keep-alive', 'upgrade'] } },
        'no white space behind colons': { headers: { 'X-Tight': '' } },
        'an allowed origin': { headers: { Origin: 'https://call.example' } },
        'extensions that we do not speak': {
            headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
        },
        'subprotocols that we do not speak': { headers: { 'Sec-WebSocket-Protocol': 'chat' } },
    };
    for (const [name, options] of Object.entries(accepted)) {
        test(`accepts ${name}`, { timeout }, async () => {
            const raw = await set.raw();
            const { headers } = await raw.open(options);
            assert.equal(headers['sec-websocket-accept'], ACCEPT);
            assert.equal(headers.upgrade.toLowerCase(), 'websocket');
            assert.equal(headers.connection.toLowerCase(), 'upgrade');
            assert.equal(headers['sec-websocket-extensions'], undefined);
            assert.equal(headers['sec-websocket-protocol'], undefined);
            raw.terminate();
        });
    }

    test('picks switchboard.v1 among what is offered', { timeout }, async () => {
        const raw = await set.raw();
        const { headers } = await raw.open({
            headers: { 'Sec-WebSocket-Protocol': ['chat, switchboard.v1', 'other'] },
        });
        assert.equal(headers['sec-websocket-protocol'], 'switchboard.v1');
        assert.equal(JSON.parse((await raw.frame()).text).type, 'welcome');
        raw.terminate();
    });

    test('reads a request byte by byte', { timeout }, async () => {
        const raw = await set.raw();
        await raw.writeSlowly(handshake({ target: '/?userId=slow' }));
        assert.equal((await raw.head()).status, 101);
        raw.terminate();
    });

    test('reads the frames that come in one segment with the request', { timeout }, async () => {
        const raw = await set.raw();
        const message = { type: 'call-ringing', to: 'early' };
        raw.write(
            Buffer.concat([
                Buffer.from(handshake({ target: '/?userId=early' })),
                frame({ payload: JSON.stringify({ ...message, tag: '1' }) }),
                frame({ payload: JSON.stringify({ ...message, tag: '2' }) }),
            ]),
        );
        assert.equal((await raw.head()).status, 101);
        for (const tag of ['1', '2']) {
            const { text } = await raw.frame();
            assert.deepEqual(JSON.parse(text), { from: 'early', ...message, tag });
        }
        raw.terminate();
    });

    const refused = {
        'no Host': [400, { headers: { Host: null } }],
        'two Hosts': [400, { headers: { Host: ['a', 'a'] } }],
        'no key': [400, { headers: { 'Sec-WebSocket-Key': null } }],
        'two keys': [400, { headers: { 'Sec-WebSocket-Key': ['a', 'b'] } }],
        'a key of 15 bytes': [400, { headers: { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' } }],
        'a key that is not base64': [
            400,
            { headers: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } },
        ],
        'no version': [400, { headers: { 'Sec-WebSocket-Version': null } }],
        'two versions': [400, { headers: { 'Sec-WebSocket-Version': ['13', '13'] } }],
        'version 8': [426, { headers: { 'Sec-WebSocket-Version': '8' } }],
        'version 013': [426, { headers: { 'Sec-WebSocket-Version': '013' } }],
        'no Connection': [400, { headers: { Connection: null } }],
        'Connection without Upgrade': [400, { headers: { Connection: 'keep-alive' } }],
        'an upgrade to h2c': [400, { headers: { Upgrade: 'h2c' } }],
        'no Upgrade': [400, { headers: { Upgrade: null } }],
        'another path': [404, { target: '/socket?userId=alice' }],
        'an absolute-form target': [400, { target: 'http://127.0.0.1/?userId=alice' }],
        'an authority-form target': [400, { target: '127.0.0.1:80' }],
        'an asterisk target': [400, { target: '*' }],
        'a fragment': [400, { target: '/?userId=a#b' }],
        'a space in the target': [400, { target: '/?userId=a b' }],
        'a byte beyond ASCII in the target': [400, { target: '/?userId=é' }],
        'HTTP/1.0': [400, { version: 'HTTP/1.0' }],
        'HTTP/2.0': [400, { version: 'HTTP/2.0' }],
        'a version in lower case': [400, { version: 'http/1.1' }],
        POST: [405, { method: 'POST' }],
        HEAD: [405, { method: 'HEAD' }],
        'a method in lower case': [405, { method: 'get' }],
        'bare LF': [400, { eol: '\n' }],
        'bare CR': [400, { eol: '\r' }],
        'a body announced': [400, { headers: { 'Content-Length': '5' } }],
        'a chunked body announced': [400, { headers: { 'Transfer-Encoding': 'chunked' } }],
        'a space before a colon': [400, { headers: { 'X-Space ': 'a' } }],
        'a folded line': [400, { headers: { 'X-Folded': 'a\r\n b' } }],
        'a NUL in a value': [400, { headers: { 'X-Nul': 'a\0b' } }],
        'a control character in a value': [400, { headers: { 'X-Control': 'a\x01b' } }],
        'a CR in a value': [400, { headers: { 'X-Cr': 'a\rb' } }],
        'no header name': [400, { headers: { '': 'a' } }],
        'a foreign origin': [403, { headers: { Origin: 'https://evil.example' } }],
        'the origin null': [403, { headers: { Origin: 'null' } }],
        'two origins': [400, { headers: { Origin: ['https://call.example', 'https://a'] } }],
        '100 headers': [431, { headers: { 'X-Many': Array(100).fill('a') } }],
        'a head that is too large': [431, { headers: { 'X-Large': 'a'.repeat(HEAD_MAX_BYTES) } }],
    };
    for (const [name, [status, options]] of Object.entries(refused)) {
        test(`refuses ${name}: ${status}`, { timeout }, async () => {
            const response = await checkRefused(set, handshake(options), status);
            if (status === 426) {
                assert.equal(response.headers['sec-websocket-version'], '13');
                assert.equal(response.headers.upgrade.toLowerCase(), 'websocket');
            } else if (status === 405) {
                assert.ok(response.headers.allow.includes('GET'));
            }
        });
    }

    test('refuses a body behind the head', { timeout }, async () => {
        const head = handshake({ headers: { 'Content-Length': '5' } });
        await checkRefused(set, `${head}hello`, 400);
    });

    test('refuses a line without a colon', { timeout }, async () => {
        await checkRefused(set, 'GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n', 400);
    });

    test('refuses an endless line before it ends', { timeout }, async () => {
        await checkRefused(set, `GET /${'a'.repeat(2 * HEAD_MAX_BYTES)}`, 431);
    });

    test('refuses bytes that are no HTTP at once', { timeout }, async () => {
        await checkRefused(set, Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]), 400);
    });

    test('accepts a head of exactly the limit', { timeout }, async () => {
        const room = HEAD_MAX_BYTES - handshake({ headers: { 'X-Fill': '' } }).length;
        const raw = await set.raw();
        await raw.open({ headers: { 'X-Fill': 'a'.repeat(room) } });
        raw.terminate();
        const larger = handshake({ headers: { 'X-Fill': 'a'.repeat(room + 1) } });
        await checkRefused(set, larger, 431);
    });
});

describe('a client that says too little', () => {
    let set;
    before(async () => {
        set = await startSet({ flags: { 'head-timeout-ms': 200, 'close-timeout-ms': 200 } });
    });
    after(() => set.stop());

    for (const [name, bytes] of Object.entries({
        nothing: '',
        'half a request': 'GET /?userId=alice HTTP/1.1\r\nHost: a\r\n',
    })) {
        test(`gets 408 when it says ${name}`, { timeout }, async () => {
            await checkRefused(set, bytes, 408);
        });
    }

    test('is let go when it leaves by itself', { timeout }, async () => {
        const raw = await set.raw();
        raw.write('GET / HT');
        raw.socket.end();
        await raw.ended;
    });

    test('does not keep its connection by not hanging up', { timeout }, async () => {
        const raw = await set.raw();
        raw.write(handshake({ method: 'POST' }));
        assert.equal((await raw.head()).status, 405);
        /* The server ends its side, then, as we do not end ours, the connection. */
        raw.socket.on('error', () => {});
        const nag = setInterval(() => raw.write('x'), 20);
        await raw.ended;
        clearInterval(nag);
    });
});
