/* 60 users on 3 gateways, every ordered pair: each message exactly once, to each of the target's
 * devices, from the right sender, in order, and otherwise as it was written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startSet } from './harness.mjs';

const timeout = 300000;
const USERS = 60;
const GATEWAYS = 3;
const TWO_DEVICES = 10; /* the first so many users */
const IN_A_ROW = 3; /* messages to one target before the next target */
const MESSAGE_MAX_BYTES = 65536;

const TYPES = 'start accept reject ringing cancel end offer answer candidate'.split(' ');
/* Of the member that is carried: around the bounds of frame lengths and of buffers. */
const SIZES = [1, 2, 20, 60, 61, 62, 63, 64, 125, 126, 127, 128, 500, 1000, 4000, 8190, 16383];
const LARGE_EVERY = 40; /* one message in so many is of the largest size */

/* Members that a careless relay would change. */
const FRAGILE = [
    '"n":123456789012345678901234567890',
    '"n":1.0e+2,"m":-0',
    '"\\u0061\\/":"\\u00e9\\ud83d\\ude00"',
    '"s" : [ 1 ,2 ]',
    '"d":1,"d":2',
    '"nested":{"from":"x","to":"y"}',
];

const name = (user) => `user-${user}`;

/* The text of message `index` from one user to another: one of a kind. */
function compose(from, to, index) {
    const n = from * 7919 + to * 104729 + index;
    const head = `{"type":"call-${TYPES[n % TYPES.length]}","to":"${name(to)}"`;
    const id = `${from}/${to}/${index}`;
    const body = `${head},"id":"${id}",${FRAGILE[n % FRAGILE.length]},"data":"`;
    const fill = n % LARGE_EVERY === 0 ? MESSAGE_MAX_BYTES - body.length - 2 : SIZES[n % 17];
    return `${body}${'x'.repeat(fill)}"}`;
}

function composeReceived(from, to, index) {
    return `{"from":"${name(from)}",${compose(from, to, index).slice(1)}`;
}

/* Sends to every other user, a few in a row and then waits for their acks, so that what is under
 * way to one target stays below the bound of its queue. */
async function sendToAll(client, from) {
    for (let step = 1; step < USERS; step++) {
        const to = (from + step) % USERS;
        for (let index = 0; index < IN_A_ROW; index++) {
            client.send(compose(from, to, index));
        }
        const acked = [];
        for (let index = 0; index < IN_A_ROW; index++) {
            const outcome = await client.next((data) => data.from === undefined);
            assert.equal(outcome.type, 'ack', JSON.stringify(outcome));
            assert.equal(outcome.to, name(to));
            acked.push(outcome.id);
        }
        const ids = [...Array(IN_A_ROW).keys()].map((index) => `${from}/${to}/${index}`);
        assert.deepEqual(acked.sort(), ids);
    }
}

/* Everything that one device received, by sender; nothing else, nothing twice, in order. */
function checkReceived(device, to) {
    const texts = new Map();
    for (const { text, data } of device.inbox) {
        const sofar = texts.get(data.from) ?? [];
        texts.set(data.from, [...sofar, text]);
    }
    assert.equal(texts.size, USERS - 1);
    for (let from = 0; from < USERS; from++) {
        if (from !== to) {
            const expected = [...Array(IN_A_ROW).keys()].map((i) => composeReceived(from, to, i));
            const received = texts.get(name(from));
            assert.equal(received.length, IN_A_ROW, `${name(from)} to ${name(to)}`);
            expected.forEach((text, i) => assert.ok(received[i] === text, text.slice(0, 200)));
        }
    }
}

test('every ordered pair of 60 users on 3 gateways', { timeout }, async () => {
    const set = await startSet({ gateways: GATEWAYS });
    const senders = await Promise.all(
        [...Array(USERS).keys()].map((user) =>
            set.connect(user % GATEWAYS, name(user), { protocol: true }),
        ),
    );
    await Promise.all(senders.map((sender) => sender.nextOf('welcome')));
    const seconds = await Promise.all(
        [...Array(TWO_DEVICES).keys()].map((user) =>
            set.connect((user + 1) % GATEWAYS, name(user), { deviceId: 'second' }),
        ),
    );
    await Promise.all(senders.map(sendToAll));
    /* The fence reaches both devices of those who have two. */
    await Promise.all(senders.map((sender) => sender.fence()));
    await Promise.all(seconds.map((second) => second.next((data) => data.from === second.userId)));
    senders.forEach((sender, user) => {
        sender.inbox = sender.inbox.filter(({ data }) => data.from !== undefined);
        checkReceived(sender, user);
    });
    seconds.forEach((second, user) => checkReceived(second, user));
    await set.stop();
});
