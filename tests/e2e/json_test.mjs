/* What a client may write in a message, and what it hears when it is wrong; byte for byte. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startSet } from './harness.mjs';

const timeout = 30000;
const DEEP = 2000;

function withMember(text) {
    return `{"type":"call-offer","to":"bob",${text}}`;
}

const refused = {
    'bad-json': [
        '',
        ' ',
        'x',
        'null',
        '42',
        '"call-start"',
        '[]',
        '[{"type":"call-start","to":"bob"}]',
        '{',
        '{"type":"call-start","to":"bob"',
        '{"type":"call-start","to":"bob"}}',
        '{"type":"call-start","to":"bob"} x',
        '{"type":"call-start","to":"bob"}{}',
        '{"type":"call-start","to":"bob"}\u0000',
        '\uFEFF{"type":"call-start","to":"bob"}',
        '{"type":"call-start","to":"bob",}',
        "{'type':'call-start','to':'bob'}",
        '{type:"call-start",to:"bob"}',
        '{"type":"call-start" "to":"bob"}',
        withMember('"a":01'),
        withMember('"a":.5'),
        withMember('"a":5.'),
        withMember('"a":+5'),
        withMember('"a":1e'),
        withMember('"a":NaN'),
        withMember('"a":tru'),
        withMember('"a":"\n"'),
        withMember('"a":"\u0001"'),
        withMember('"a":"\\x41"'),
        withMember('"a":"\\u12g4"'),
        withMember('"a":"\\ud800"'),
        withMember('"a":1 /* no */'),
        withMember('\u00a0"a":1'),
        withMember('\f"a":1'),
        withMember(`"a":${'['.repeat(DEEP)}${']'.repeat(DEEP)}`),
        withMember(`"a":${'['.repeat(DEEP)}`),
        withMember(`"a":${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`),
    ],
    'bad-message': [
        '{}',
        '{"type":"call-start"}',
        '{"to":"bob"}',
        '{"type":1,"to":"bob"}',
        '{"type":null,"to":"bob"}',
        '{"type":"call-start","to":1}',
        '{"type":"call-start","to":["bob"]}',
        '{"type":"call-start","to":""}',
        `{"type":"call-start","to":"${'b'.repeat(129)}"}`,
        '{"Type":"call-start","to":"bob"}',
        '{"type":"call-start","TO":"bob"}',
        '{"type":"call-start\\u0000","to":"bob"}',
        '{"type":"call-start","to":"bob\\u0000"}',
        '{"type":"call-start","to":"bob\\u0000eve"}',
        withMember('"id":"a\\u0000b"'),
        withMember('"callId":"a\\u0000b"'),
        withMember('"id":true'),
        withMember('"id":1.5'),
        withMember('"id":1e3'),
        withMember('"id":{}'),
        withMember(`"id":"${'i'.repeat(65)}"`),
        withMember('"callId":7'),
        withMember('"callId":null'),
        withMember(`"callId":"${'c'.repeat(65)}"`),
        withMember('"type":"call-offer"'),
        withMember('"to":"bob"'),
        withMember('"t\\u006f":"eve"'),
        withMember('"\\u0074ype":"call-end"'),
        withMember('"id":1,"id":1'),
        withMember('"id":1,"\\u0069\\u0064":2'),
        withMember('"callId":"a","call\\u0049d":"b"'),
        withMember('"from":"a","from":"b"'),
        withMember('"from":"a","\\u0066rom":"b"'),
        ...[
            '"server":1,"server":2',
            '"fromDevice":1,"fromDevice":1',
            '"expiresInMs":1,"\\u0065xpiresInMs":1',
            '"reason":"a","reason":"a"',
            '"scope":"all","scope":"all"',
        ].map((doubled) => withMember(`"callId":"c",${doubled}`)),
        '{"type":"call-reject","to":"bob","callId":"c","scope":"nobody"}',
        '{"type":"call-reject","to":"bob","callId":"c","scope":null}',
    ],
    'unknown-type': [
        '{"type":"call","to":"bob"}',
        '{"type":"","to":"bob"}',
        '{"type":"CALL-START","to":"bob"}',
        '{"type":"call-start ","to":"bob"}',
        '{"type":"ack","to":"bob"}',
        '{"type":"error","to":"bob"}',
        '{"type":"welcome","to":"bob"}',
    ],
    'user-offline': [
        '{"type":"call-start","to":"BOB"}',
        '{"type":"call-start","to":"bob "}',
    ],
};

/* What bob reads: the bytes behind the opening brace are those that alice wrote. */
const carried = {
    'plain': withMember('"a":1'),
    'numbers that no double holds': withMember('"a":123456789012345678901234567890,"b":1e999'),
    'numbers in odd spellings': withMember('"a":[-0,0.10,1E+2,1e-9,1.0,100000000000000000000.0]'),
    'escapes as they are': withMember('"a":"\\u0041\\/\\u00e9\\ud83d\\ude00\\b","\\u0062":"é"'),
    'a NUL in a member that we do not read': withMember('"a":"x\\u0000y","b\\u0000":1'),
    'spacing and order': ' {\t"b" : 1 ,\r\n "to":"bob","a":[ 1 , 2 ],"type" : "call-offer" } \n',
    'doubled members that are not ours': withMember('"a":1,"a":2'),
    'our names deeper down': withMember('"a":{"from":"x","to":"y","to":"z","type":1}'),
    'our names in other cases': withMember('"From":"x","FROM":"y","To":"z","ID":1,"callID":2'),
    'type and to in escapes': '{"\\u0074ype":"call-\\u006fffer","\\u0074o":"\\u0062ob"}',
    'an id of 64 bytes': withMember(`"id":"${'i'.repeat(64)}"`),
    'what means something in a call only': withMember(
        '"server":true,"server":1,"fromDevice":"x","expiresInMs":1,"scope":7,"reason":[]',
    ),
    'an id that no double holds': withMember('"id":-123456789012345678901234567890'),
    'nesting within reason': withMember(`"a":${'['.repeat(30)}${']'.repeat(30)}`),
    'empty names and values': withMember('"":"","a":{},"b":[],"c":null'),
    'DEL and beyond': withMember('"a":"\u007f\u0080\u2028\u{1F600}"'),
};

const forged = {
    'at the front': '{"from":"eve","type":"call-offer","to":"bob","a":1e2}',
    'in the middle': '{"type":"call-offer","from":"eve","to":"bob","a":1e2}',
    'at the end': '{"type":"call-offer","to":"bob","a":1e2,"from":"eve"}',
    'in escapes': '{"\\u0066\\u0072om":"eve","type":"call-offer","to":"bob","a":1e2}',
    'as an object': '{"type":"call-offer","to":"bob","a":1e2,"from":{"from":["alice"]}}',
    'as a number': '{"type":"call-offer","from" : 12 ,"to":"bob","a":1e2}',
    'as null, with spaces': '{ "from" : null , "type":"call-offer","to":"bob","a":1e2}',
};

describe('messages', () => {
    let set;
    let alice;
    let bob;
    before(async () => {
        set = await startSet();
        alice = await set.connect(0, 'alice');
        bob = await set.connect(0, 'bob');
    });
    after(() => set.stop());

    for (const [code, texts] of Object.entries(refused)) {
        for (const text of texts) {
            test(`${code}: ${JSON.stringify(text).slice(0, 60)}`, { timeout }, async () => {
                alice.send(text);
                const error = await alice.next();
                assert.equal(error.type, 'error');
                assert.equal(error.code, code, JSON.stringify(error));
                assert.ok(error.message.length > 0);
            });
        }
    }

    test('none of that reached bob, and alice is still connected', { timeout }, async () => {
        alice.send({ type: 'call-start', to: 'bob', tag: 'after all' });
        assert.equal((await bob.next()).tag, 'after all');
        assert.equal(alice.inbox.length, 0);
    });

    test('an error names the call', { timeout }, async () => {
        alice.send('{"type":"call-reject","to":"bob","callId":"c-\\u0038","id":1,"scope":"nobody"}');
        const { code, callId, id } = await alice.next();
        assert.deepEqual([code, callId, id], ['bad-message', 'c-8', 1]);
    });

    for (const [name, text] of Object.entries(carried)) {
        test(`carries ${name}`, { timeout }, async () => {
            alice.send(text);
            const brace = text.indexOf('{') + 1;
            const expected = `${text.slice(0, brace)}"from":"alice",${text.slice(brace)}`;
            assert.equal((await bob.nextMessage()).text, expected);
        });
    }

    for (const [name, text] of Object.entries(forged)) {
        test(`replaces a forged from ${name}`, { timeout }, async () => {
            alice.send(text);
            const received = await bob.nextMessage();
            assert.deepEqual(received.data, {
                from: 'alice',
                type: 'call-offer',
                to: 'bob',
                a: 100,
            });
            assert.ok(!received.text.includes('eve'));
            assert.ok(received.text.includes('1e2'), received.text);
        });
    }

    test('an error names the id and the target as they were sent', { timeout }, async () => {
        const ids = ['"x\\u0041\\n"', '7', '-123456789012345678901234567890', '""'];
        for (const id of ids) {
            alice.send(`{"type":"call-start","to":"no\\u0062ody","id":${id}}`);
            const error = await alice.nextMessage();
            assert.equal(error.data.code, 'user-offline');
            assert.equal(error.data.to, 'nobody');
            assert.ok(error.text.includes(`"id":${id}`), error.text);
        }
        alice.send('{"type":"no-such-type","to":"bob","id":"i1"}');
        const error = await alice.next();
        assert.deepEqual([error.code, error.to, error.id], ['unknown-type', 'bob', 'i1']);
    });

    test('every type is known', { timeout }, async () => {
        const names = 'start accept reject ringing cancel end offer answer candidate';
        for (const name of names.split(' ')) {
            alice.send({ type: `call-${name}`, to: 'bob' });
            assert.equal((await bob.next()).type, `call-${name}`);
        }
    });

    test('one may call oneself', { timeout }, async () => {
        alice.send({ type: 'call-start', to: 'alice' });
        assert.equal((await alice.next()).from, 'alice');
    });
});
