/* A client as PROTOCOL.md wants it: it speaks switchboard.v1, comes back when its connection is
 * lost, with growing and jittered pauses, and stays away when it is told to. */
import { PROTOCOL, WebSocket } from '../e2e/client.mjs';
import { now } from './clock.mjs';

const HANDSHAKE_TIMEOUT_MS = 5000;
const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 3000;
const GOING_AWAY = 1001;
const ABSENCES_MAX = 200;
const TYPES = ['call-candidate', 'call-offer', 'call-answer', 'call-ringing'];

/* 40xx, and what says that the connection or the server was lost: come back. */
function mayComeBack(code) {
    return [GOING_AWAY, 1005, 1006, 1011].includes(code) || (code >= 4000 && code < 4500);
}

export class LoadClient {
    /* `events` are told of what the ledger does not know: onDropped(code), onRefused(why),
     * onConnected(), onReceived(connection, record). */
    constructor({ url, userId, deviceId, payload, ledger, events }) {
        this.target = `${url}/?userId=${userId}&deviceId=${deviceId}`;
        this.userId = userId;
        this.payload = payload;
        this.ledger = ledger;
        this.events = events;
        this.partner = null; /* the client that our messages go to */
        this.connection = null; /* the ledger's, once we have been welcomed */
        this.socket = null;
        this.absences = [{ from: now(), to: Infinity }];
        this.attempts = 0;
        this.isStopped = false;
        this.isReset = false;
        this.timer = null;
    }

    get isConnected() {
        return this.connection !== null;
    }

    /* Whether, at a moment between the two, it had been away for so long. */
    wasAwayFor(ms, from, to) {
        return this.absences.some((away) => {
            const until = Math.min(away.to, to);
            return away.to >= from && away.from <= to && until - away.from >= ms;
        });
    }

    connect() {
        this.timer = null;
        this.isReset = false;
        const socket = new WebSocket(this.target, [PROTOCOL], {
            perMessageDeflate: false,
            handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        });
        this.socket = socket;
        let refusal = null;
        socket.on('error', () => {}); /* what follows is `close` */
        socket.on('unexpected-response', (_, response) => {
            refusal = response;
            socket.terminate();
        });
        socket.on('message', (bytes) => this.#onMessage(bytes.toString()));
        socket.once('close', (code) => this.#onClose(code, refusal));
    }

    #onMessage(text) {
        const data = JSON.parse(text);
        if (data.type === 'welcome') {
            this.#onWelcome(data);
        } else if (data.type === 'ack' || data.type === 'error') {
            this.ledger.onOutcome(this.connection, data);
        } else {
            this.#onCall(text, data);
        }
    }

    #onWelcome({ sessionId }) {
        this.attempts = 0;
        this.absences.at(-1).to = now();
        this.connection = this.ledger.open(this, sessionId.split('-')[0]);
        this.events.onConnected(this.connection);
    }

    #onCall(text, data) {
        const record = this.ledger.find(Number(data.serial), data.id);
        if (!record) {
            this.ledger.violate('altered', `from nowhere: ${text.slice(0, 200)}`);
            return;
        }
        const sender = record.connection.client;
        const expected = sender.textOf(record);
        if (text !== `{"from":"${sender.userId}",${expected.slice(1)}`) {
            this.ledger.violate('altered', text.slice(0, 200));
            return;
        }
        this.events.onReceived(this.connection, record);
        this.ledger.onReceived(this.connection, record);
    }

    #onClose(code, refusal) {
        const wasConnected = this.isConnected;
        if (wasConnected) {
            this.ledger.close(this.connection);
            this.connection = null;
            this.absences.push({ from: now(), to: Infinity });
            this.absences.splice(0, this.absences.length - ABSENCES_MAX);
        }
        if (this.isStopped) {
            return;
        }
        if (wasConnected) {
            this.events.onDropped(this.isReset ? 'reset by us' : code);
        } else {
            this.events.onRefused(refusal ? refusal.statusCode : code);
        }
        if (!mayComeBack(code)) {
            this.ledger.violate('sent away for good', `${this.userId}: ${code}`);
            return;
        }
        this.timer = setTimeout(() => this.connect(), this.#pauseMs(code, refusal));
    }

    /* At once when the server says that it goes; else twice as long each time. */
    #pauseMs(code, refusal) {
        const retryAfterMs = Number(refusal?.headers['retry-after'] ?? 0) * 1000;
        const growing = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** this.attempts++);
        const jittered = code === GOING_AWAY ? 0 : growing * (0.5 + Math.random() / 2);
        return retryAfterMs + jittered;
    }

    /* The text of a message of ours: all of it follows from who sends it and its number. */
    textOf({ connection, target, number }) {
        const type = TYPES[number % TYPES.length];
        return (
            `{"type":"${type}","to":"${target.userId}","id":${number},` +
            `"serial":"${connection.serial}","text":"${this.payload}"}`
        );
    }

    /* Sends the next message to the partner; false if we are not connected. */
    send() {
        if (!this.isConnected) {
            return false;
        }
        const record = this.ledger.enter(this.connection, this.partner);
        this.socket.send(this.textOf(record));
        return true;
    }

    /* Ends the connection with a RST, as a lost network may. */
    reset() {
        this.isReset = true;
        this.socket._socket.resetAndDestroy();
    }

    /* Closes in good order and does not come back. */
    async stop() {
        this.isStopped = true;
        clearTimeout(this.timer);
        if (this.socket.readyState === WebSocket.CLOSED || this.timer !== null) {
            this.socket.terminate();
            return;
        }
        const closed = new Promise((resolve) => this.socket.once('close', resolve));
        this.socket.close(1000);
        await closed;
    }
}
