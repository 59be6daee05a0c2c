/* What was sent, what came of it, and whether that is what PROTOCOL.md promises. Every message of
 * the load is entered here by its sender, its outcome and whoever receives it; what breaks a promise
 * is counted by name, with the first few instances in words. */
import { now } from './clock.mjs';

/* A sender whose connection lives on has its outcome by then, or will not get it. */
export const OUTCOME_PATIENCE_MS = 15000;
/* The server's own bound is 10 s; the rest is what two busy processes and the load may add. */
export const LATE_MS = 11500;
/* How long a message is remembered: what comes later is from nowhere. */
const MEMORY_MS = 30000;
/* Acked and not received: by then the two sockets have told all they know. */
const LOST_AFTER_MS = 5000;
/* A user back within --hold-ms is never called offline; less what clients and server may differ by
 * about the moment at which a connection ended. */
const HOLD_MS = 5000 - 500;
/* A connection that ended within this time of an ack was already ending. */
const ENDING_MS = 1000;
const EXAMPLES_MAX = 3;

/* Everything that may be broken, in the order in which it is shown. */
export const PROMISES = [
    'without outcome',
    'two outcomes',
    'twice on one connection',
    'out of order',
    'lost after ack',
    'altered',
    'misrouted',
    'delivered late',
    'error though delivered',
    'offline though held',
    'error of no known code',
    'called bad',
    'sent away for good',
];

export class Ledger {
    /* `codes`: the error codes that the protocol names. */
    constructor(codes) {
        this.codes = new Set(codes);
        this.connections = new Map(); /* by serial */
        this.queue = []; /* records, the oldest first */
        this.queueHead = 0;
        this.serial = 0;
        this.errors = {};
        this.violations = {};
        this.counts = {
            sent: 0,
            acked: 0,
            received: 0,
            inDeadConnection: 0,
            seenAgain: 0,
            ackedInEnding: 0,
        };
    }

    violate(promise, text) {
        const violation = (this.violations[promise] ??= { count: 0, examples: [] });
        violation.count++;
        if (violation.examples.length < EXAMPLES_MAX) {
            violation.examples.push(text);
        }
    }

    /* A connection of that client: what its messages and those it receives are checked against. */
    open(client, gateway) {
        const connection = {
            serial: ++this.serial,
            client,
            gateway,
            isOpen: true,
            isApart: true,
            isFrozen: false,
            thawedAt: 0,
            sent: 0,
            messages: new Map() /* by number: all that are remembered */,
            unanswered: new Map(),
            lastOf: new Map() /* the last number from each sending connection */,
        };
        this.connections.set(connection.serial, connection);
        return connection;
    }

    close(connection) {
        connection.isOpen = false;
        for (const record of connection.unanswered.values()) {
            record.outcome = 'none';
        }
        this.counts.inDeadConnection += connection.unanswered.size;
        connection.unanswered.clear();
    }

    /* Enters the next message of that connection and returns it. */
    enter(connection, target) {
        const record = {
            connection,
            target,
            number: ++connection.sent,
            sentAt: now(),
            outcome: null,
            outcomeAt: 0,
            receivers: [],
            isOverdue: false,
        };
        connection.messages.set(record.number, record);
        connection.unanswered.set(record.number, record);
        this.queue.push(record);
        this.counts.sent++;
        return record;
    }

    find(serial, number) {
        return this.connections.get(serial)?.messages.get(number);
    }

    /* An ack or an error on the connection that sent it. */
    onOutcome(connection, data) {
        const record = connection.unanswered.get(data.id);
        if (!record) {
            this.violate('two outcomes', `${JSON.stringify(data)} for what needs none`);
            return;
        }
        connection.unanswered.delete(data.id);
        record.outcome = data.type === 'ack' ? 'ack' : data.code;
        record.outcomeAt = now();
        if (record.outcome === 'ack') {
            this.counts.acked++;
        } else {
            this.#onError(record);
        }
    }

    #onError(record) {
        const { outcome, outcomeAt, target } = record;
        this.errors[outcome] = (this.errors[outcome] ?? 0) + 1;
        if (!this.codes.has(outcome)) {
            this.violate('error of no known code', outcome);
        }
        if (outcome.startsWith('bad-') || outcome === 'unknown-type') {
            this.violate('called bad', `${outcome} for ${describe(record)}`);
        }
        if (outcome === 'user-offline' && !target.wasAwayFor(HOLD_MS, record.sentAt, outcomeAt)) {
            const state = target.isConnected ? 'was connected' : 'had just left';
            this.violate('offline though held', `${describe(record)}, who ${state}`);
        }
        if (record.receivers.length > 0) {
            this.#contradict(record);
        }
    }

    #contradict(record) {
        if (record.outcome !== 'unconfirmed') {
            this.violate('error though delivered', `${record.outcome}: ${describe(record)}`);
        }
    }

    /* Message `record` has come in by that connection. */
    onReceived(connection, record) {
        const at = now();
        this.counts.received++;
        if (record.target !== connection.client) {
            this.violate('misrouted', `${describe(record)} reached ${connection.client.userId}`);
            return;
        }
        if (record.receivers.includes(connection.serial)) {
            this.violate('twice on one connection', describe(record));
            return;
        }
        this.counts.seenAgain += record.receivers.length > 0 ? 1 : 0;
        record.receivers.push(connection.serial);
        this.#checkOrder(connection, record);
        if (at - Math.max(record.sentAt, record.connection.thawedAt) > LATE_MS) {
            const ms = Math.round(at - record.sentAt);
            this.violate('delivered late', `${describe(record)}, after ${ms} ms`);
        }
        if (record.outcome !== null && !['ack', 'none'].includes(record.outcome)) {
            this.#contradict(record);
        }
    }

    #checkOrder(connection, record) {
        const { serial } = record.connection;
        const last = connection.lastOf.get(serial) ?? 0;
        if (record.number <= last) {
            this.violate('out of order', `${describe(record)} came after ${last}`);
        }
        connection.lastOf.set(serial, Math.max(last, record.number));
    }

    /* Looks at what is old enough to be judged. Call it now and then, and with `isFinal` when no
     * more will come. */
    sweep(isFinal = false) {
        const at = now();
        for (let i = this.queueHead; i < this.queue.length; i++) {
            const record = this.queue[i];
            const age = at - Math.max(record.sentAt, record.connection.thawedAt);
            if (age < OUTCOME_PATIENCE_MS && !isFinal) {
                break;
            }
            if (record.outcome === null && !record.isOverdue && !record.connection.isFrozen) {
                record.isOverdue = true;
                this.violate('without outcome', describe(record));
            }
        }
        while (this.queueHead < this.queue.length) {
            const record = this.queue[this.queueHead];
            if (at - record.sentAt < MEMORY_MS && !isFinal) {
                break;
            }
            this.#forget(record);
            this.queueHead++;
        }
        this.queue.splice(0, this.queueHead);
        this.queueHead = 0;
    }

    #forget(record) {
        const { connection } = record;
        if (record.outcome === 'ack' && record.receivers.length === 0) {
            this.#judgeMissing(record);
        }
        connection.messages.delete(record.number);
        connection.unanswered.delete(record.number);
        if (!connection.isOpen && connection.messages.size === 0) {
            this.connections.delete(connection.serial);
        }
    }

    /* Acked, and nobody has it: allowed only if the target's connection was about to end. */
    #judgeMissing(record) {
        const { target, sentAt, outcomeAt } = record;
        if (target.wasAwayFor(0, sentAt, outcomeAt + ENDING_MS)) {
            this.counts.ackedInEnding++;
        } else {
            this.violate('lost after ack', describe(record));
        }
    }

    /* Whether something is still to come: an outcome, or a message that was acked. */
    get isSettled() {
        const at = now();
        return !this.queue.some(
            ({ outcome, outcomeAt, receivers, isOverdue }) =>
                (outcome === null && !isOverdue) ||
                (outcome === 'ack' && receivers.length === 0 && at - outcomeAt < LOST_AFTER_MS),
        );
    }
}

function describe({ connection, target, number }) {
    return `message ${number} of ${connection.client.userId} to ${target.userId}`;
}
