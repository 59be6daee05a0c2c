/* The ledger of tests/chaos: that it finds each of the faults that it is there to find, and nothing
 * where there is none. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { Ledger } from '../chaos/ledger.mjs';

const CODES = ['user-offline', 'overloaded', 'unconfirmed', 'bad-json'];
const LONG_AGO_MS = 20000;

/* A client as the ledger sees one; `awayMs` is how long it has been away. */
function clientOf(userId, awayMs = 0) {
    const isConnected = awayMs === 0;
    return { userId, isConnected, wasAwayFor: (ms) => !isConnected && awayMs >= ms };
}

describe('the ledger', () => {
    let ledger;
    let alice;
    let bob;
    let fromAlice;
    let toBob;

    beforeEach(() => {
        ledger = new Ledger(CODES);
        alice = clientOf('alice');
        bob = clientOf('bob');
        fromAlice = ledger.open(alice, 'a');
        toBob = ledger.open(bob, 'b');
    });

    function send(target = bob) {
        return ledger.enter(fromAlice, target);
    }

    function ack({ number }) {
        ledger.onOutcome(fromAlice, { type: 'ack', id: number });
    }

    function refuse({ number }, code) {
        ledger.onOutcome(fromAlice, { type: 'error', code, id: number });
    }

    function broken() {
        ledger.sweep(true);
        return Object.fromEntries(
            Object.entries(ledger.violations).map(([name, { count }]) => [name, count]),
        );
    }

    test('finds nothing where all is well', () => {
        const [delivered, refused, cut] = [send(), send(), send()];
        ledger.onReceived(toBob, delivered);
        ack(delivered);
        refuse(refused, 'overloaded');
        ledger.onReceived(toBob, cut);
        refuse(cut, 'unconfirmed');
        assert.deepEqual(broken(), {});
        assert.deepEqual(ledger.errors, { overloaded: 1, unconfirmed: 1 });
    });

    test('owes nothing to a dead connection', () => {
        send();
        ledger.close(fromAlice);
        assert.equal(ledger.counts.inDeadConnection, 1);
        assert.deepEqual(broken(), {});
    });

    test('finds what has no outcome, or two', () => {
        send();
        const twice = send();
        refuse(twice, 'overloaded');
        ack(twice);
        assert.deepEqual(broken(), { 'without outcome': 1, 'two outcomes': 1 });
    });

    test('tells twice on one connection from again on a new one', () => {
        const message = send();
        ledger.onReceived(toBob, message);
        ledger.onReceived(ledger.open(bob, 'b'), message);
        ack(message);
        assert.equal(ledger.counts.seenAgain, 1);
        ledger.onReceived(toBob, message);
        assert.deepEqual(broken(), { 'twice on one connection': 1 });
    });

    test('finds what is out of order or at the wrong door', () => {
        const messages = [send(), send(), send(alice)];
        ledger.onReceived(toBob, messages[1]);
        ledger.onReceived(toBob, messages[0]);
        ledger.onReceived(toBob, messages[2]);
        messages.slice(0, 2).forEach(ack);
        refuse(messages[2], 'overloaded');
        assert.deepEqual(broken(), { 'out of order': 1, misrouted: 1 });
    });

    test('finds what was lost, unless the target was leaving', () => {
        ack(send());
        ack(send(clientOf('carol', 100)));
        assert.equal(ledger.counts.ackedInEnding, 0);
        assert.deepEqual(broken(), { 'lost after ack': 1 });
        assert.equal(ledger.counts.ackedInEnding, 1);
    });

    test('finds an error about what was delivered, before or after', () => {
        const [before, after] = [send(), send()];
        ledger.onReceived(toBob, before);
        refuse(before, 'overloaded');
        refuse(after, 'overloaded');
        ledger.onReceived(toBob, after);
        assert.deepEqual(broken(), { 'error though delivered': 2 });
    });

    test('finds what is late, but for senders that stood still', () => {
        const late = send();
        late.sentAt -= LONG_AGO_MS;
        ledger.onReceived(toBob, late);
        ack(late);
        assert.deepEqual(broken(), { 'delivered late': 1 });
        const thawed = send();
        thawed.sentAt -= LONG_AGO_MS;
        fromAlice.thawedAt = thawed.sentAt + LONG_AGO_MS;
        ledger.onReceived(toBob, thawed);
        ack(thawed);
        assert.deepEqual(broken(), { 'delivered late': 1 });
    });

    test('finds users called offline too soon, and codes that are none', () => {
        refuse(send(), 'user-offline');
        refuse(send(clientOf('carol', 100)), 'user-offline');
        refuse(send(clientOf('dave', LONG_AGO_MS)), 'user-offline');
        refuse(send(), 'no-such-code');
        refuse(send(), 'bad-json');
        const expected = { 'offline though held': 2, 'error of no known code': 1 };
        assert.deepEqual(broken(), { ...expected, 'called bad': 1 });
    });
});
