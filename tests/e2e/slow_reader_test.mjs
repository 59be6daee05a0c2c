/* A client that stops reading: it alone is closed, once its queue is full; whoever writes to it
 * hears so, and a pair beside it goes on exchanging messages all the while. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { OPCODE, startSet } from './harness.mjs';

const timeout = 120000;
const TOO_SLOW = 4001;
const PAYLOAD = 'x'.repeat(60000);
/* The kernel's own buffers take some megabytes before the queue begins to fill. */
const MESSAGES_MAX = 2000;

test('a client that stops reading is closed with 4001, alone', { timeout }, async () => {
    const set = await startSet({ gateways: 2, brokerFlags: { 'hold-ms': 200 } });
    const sender = await set.connect(0, 'sender', { protocol: true });
    await sender.nextOf('welcome');
    const pair = [await set.connect(0, 'left'), await set.connect(1, 'right')];
    const slow = await set.raw(1);
    await slow.open({ target: '/?userId=slow' });
    slow.socket.pause();

    const outcomes = [];
    let sent = 0;
    for (let id = 0; !outcomes.includes('overloaded') && id < MESSAGES_MAX; id++) {
        sender.send({ type: 'call-candidate', to: 'slow', id, data: PAYLOAD });
        pair[id % 2].send({ type: 'call-candidate', to: ['right', 'left'][id % 2], id });
        assert.equal((await pair[1 - (id % 2)].next()).id, id);
        /* What waits in the queue has no outcome yet: look at what has come, do not wait. */
        for (const { data } of sender.inbox.splice(0)) {
            outcomes.push(data.code ?? data.type);
        }
        sent = id + 1;
    }
    sender.send({ type: 'call-start', to: 'slow', id: 'late' });
    const late = await sender.next((data) => data.id === 'late');
    assert.equal(late.code, 'user-offline');
    outcomes.push(...sender.inbox.splice(0).map(({ data }) => data.code ?? data.type));

    /* One outcome each: what the kernel took whole, at most one that it took in part, the rest. */
    assert.equal(outcomes.length, sent);
    const count = (outcome) => outcomes.filter((each) => each === outcome).length;
    const acks = count('ack');
    assert.ok(acks > 0, 'what the kernel took was delivered');
    assert.ok(count('unconfirmed') <= 1, `${count('unconfirmed')} unconfirmed`);
    assert.ok(count('overloaded') > 0, 'what was queued was refused');
    assert.equal(acks + count('unconfirmed') + count('overloaded') + count('user-offline'), sent);

    /* Everything acked before is there to be read, in order, whole; then the close. */
    slow.socket.resume();
    let received = 0;
    let last = await slow.frame();
    while (last.opcode === OPCODE.TEXT) {
        assert.equal(JSON.parse(last.text).id, received);
        received++;
        last = await slow.frame();
    }
    assert.equal(last.opcode, OPCODE.CLOSE);
    assert.equal(last.code, TOO_SLOW);
    assert.ok(received >= acks, `${received} received, ${acks} acked`);
    await slow.rest();
    await set.stop();
});

test('a sender that does not read its own errors is closed as well', { timeout }, async () => {
    const set = await startSet();
    const pair = [await set.connect(0, 'left'), await set.connect(0, 'right')];
    const rude = await set.raw();
    await rude.open({ target: '/?userId=rude' });
    rude.socket.pause();
    const id = 'i'.repeat(64);
    const to = 'n'.repeat(128);
    let sent = 0;
    /* Each error is longer than what asked for it: its queue must fill in the end. */
    while ((await sessions(set)) > 2) {
        for (let i = 0; i < 2000; i++) {
            rude.send({ type: 'call-start', to, id });
        }
        sent += 2000;
        pair[0].send({ type: 'call-start', to: 'right', id: sent });
        assert.equal((await pair[1].next()).id, sent);
    }
    await set.stop();
});

async function sessions(set) {
    return (await (await fetch(`${set.httpUrl()}/healthz`)).json()).sessions;
}
