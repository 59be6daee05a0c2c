/* Names in the query of a handshake: which are good, and how they are decoded. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { handshake, startSet } from './harness.mjs';

const timeout = 30000;
const PROTOCOL = { 'Sec-WebSocket-Protocol': 'switchboard.v1' };

describe('user and device ids', () => {
    let set;
    before(async () => {
        set = await startSet();
    });
    after(() => set.stop());

    const good = {
        'userId=alice': ['alice', ''],
        'userId=a': ['a', ''],
        'userId=%61lice': ['alice', ''],
        'userId=a+b': ['a+b', ''],
        'userId=a%20b': ['a b', ''],
        'userId=a=b': ['a=b', ''],
        'userId=%26%3d%25': ['&=%', ''],
        'user%49d=alice': ['alice', ''],
        'userId=%C3%A9%e2%82%ac%F0%9F%93%9E': ['é€📞', ''],
        'userId=a%22%5Cb': ['a"\\b', ''],
        'deviceId=phone&userId=alice': ['alice', 'phone'],
        'userId=alice&deviceId=': ['alice', ''],
        'other=1&userId=alice&userid=bob&&x': ['alice', ''],
        [`userId=${'a'.repeat(128)}`]: ['a'.repeat(128), ''],
        [`userId=${'%61'.repeat(128)}`]: ['a'.repeat(128), ''],
        [`userId=a&deviceId=${'d'.repeat(64)}`]: ['a', 'd'.repeat(64)],
    };
    for (const [query, [userId, deviceId]] of Object.entries(good)) {
        test(`accepts ${query.slice(0, 40)}`, { timeout }, async () => {
            const raw = await set.raw();
            await raw.open({ target: `/?${query}`, headers: PROTOCOL });
            const welcome = JSON.parse((await raw.frame()).text);
            assert.equal(welcome.type, 'welcome');
            assert.equal(welcome.userId, userId);
            assert.equal(welcome.deviceId, deviceId);
            assert.match(welcome.sessionId, /^[0-9a-f]+-[0-9a-f]+$/);
            raw.terminate();
        });
    }

    const bad = [
        '',
        'deviceId=phone',
        'userId',
        'userId=',
        'userid=alice',
        'userId=alice&userId=alice',
        'userId=alice&user%49d=bob',
        'userId=%',
        'userId=%4',
        'userId=%zz',
        'userId=%4g',
        'userId=alice%',
        'userId=%00',
        'userId=a%00b',
        'userId=a%0Ab',
        'userId=%1f',
        'userId=%7f',
        'userId=%c2%85',
        'userId=%ff',
        'userId=%c0%80',
        'userId=%e2%28%a1',
        'userId=%ed%a0%80',
        'userId=%f4%90%80%80',
        'userId=%c3',
        `userId=${'a'.repeat(129)}`,
        `userId=${'%C3%A9'.repeat(65)}`,
        'userId=a&deviceId=%00',
        'userId=a&deviceId=%ff',
        'userId=a&deviceId=%',
        'userId=a&deviceId=b&deviceId=b',
        `userId=a&deviceId=${'d'.repeat(65)}`,
    ];
    for (const query of bad) {
        test(`refuses "${query.slice(0, 40)}"`, { timeout }, async () => {
            const raw = await set.raw();
            raw.write(handshake({ target: `/?${query}` }));
            const response = await raw.response();
            assert.equal(response.status, 400);
            assert.equal(typeof JSON.parse(response.body).error, 'string');
        });
    }

    test('a name of any script can be called', { timeout }, async () => {
        const caller = await set.connect(0, 'ähm "q" \\ 日本');
        const callee = await set.connect(0, '📞');
        caller.send({ type: 'call-start', to: '📞' });
        assert.equal((await callee.next()).from, 'ähm "q" \\ 日本');
        caller.terminate();
        callee.terminate();
    });
});
