/* What the client library's suites put in place of the world: a server that says what a test has it
 * say, a clock that a test moves, and cameras. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket, { WebSocketServer } from 'ws';

import '../../static/switchboard.js';

export const { Switchboard } = globalThis;
const PATIENCE_MS = 20000;

/* Waits with a limit, so that a test that fails says what for. */
export function within(what, promise) {
    let timer;
    const limit = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
    });
    return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/* The detail of the next event `name` that `wants` accepts. */
export function nextEvent(emitter, name, wants = () => true) {
    const arrived = new Promise((resolve) => {
        const off = emitter.on(name, (detail) => {
            if (wants(detail)) {
                off();
                resolve(detail);
            }
        });
    });
    return within(`event ${name}`, arrived);
}

/* Resolves once a phone or a call is in that state. */
export async function inState(emitter, state) {
    if (emitter.state !== state) {
        await nextEvent(emitter, 'state', (detail) => detail.state === state);
    }
}

/* Time that only passes when it is told to. */
export class Clock {
    time = 1_000_000;
    #timers = new Map();
    #count = 0;

    now = () => this.time;

    setTimeout = (fn, ms) => {
        assert.ok(ms >= 0, `a timer of ${ms} ms`);
        this.#count += 1;
        this.#timers.set(this.#count, { at: this.time + ms, fn });
        return this.#count;
    };

    clearTimeout = (handle) => void this.#timers.delete(handle);

    get pending() {
        return this.#timers.size;
    }

    /* Lets time pass, timer by timer; what a timer sets off may take a turn of the event loop. */
    async pass(ms) {
        const end = this.time + ms;
        for (;;) {
            const due = [...this.#timers].filter(([, { at }]) => at <= end);
            if (due.length === 0) {
                break;
            }
            const [handle, { at, fn }] = due.reduce((a, b) => (b[1].at < a[1].at ? b : a));
            this.#timers.delete(handle);
            this.time = Math.max(this.time, at);
            fn();
            await new Promise(setImmediate);
        }
        this.time = end;
    }
}

/* One connection of a client, from the server's side. */
class Connection {
    inbox = []; /* what the client has sent and no test has taken */
    #waiters = [];

    constructor(socket, request) {
        const url = new URL(request.url, 'ws://server');
        this.socket = socket;
        this.path = url.pathname;
        this.userId = url.searchParams.get('userId');
        this.deviceId = url.searchParams.get('deviceId');
        this.ended = once(socket, 'close').then(([code]) => code);
        socket.on('error', () => {});
        socket.on('message', (bytes) => this.#onMessage(JSON.parse(bytes.toString())));
        this.say({ type: 'welcome', userId: this.userId, sessionId: 'session' });
    }

    #onMessage(message) {
        const index = this.#waiters.findIndex(({ wants }) => wants(message));
        if (index < 0) {
            this.inbox.push(message);
        } else {
            this.#waiters.splice(index, 1)[0].take(message);
        }
    }

    /* The earliest message of that type which no test has taken yet. */
    async next(type) {
        const wants = (message) => type === undefined || message.type === type;
        const index = this.inbox.findIndex(wants);
        if (index >= 0) {
            return this.inbox.splice(index, 1)[0];
        }
        return within(
            type ?? 'a message',
            new Promise((take) => this.#waiters.push({ wants, take })),
        );
    }

    /* The same, acknowledged. */
    async take(type) {
        const message = await this.next(type);
        this.ack(message);
        return message;
    }

    say(message) {
        this.socket.send(JSON.stringify(message));
    }

    ack({ id, to }) {
        this.say({ type: 'ack', id, to });
    }

    refuse({ id, to, callId }, code, members = {}) {
        this.say({
            type: 'error',
            code,
            message: `a sentence on ${code}`,
            to,
            id,
            callId,
            ...members,
        });
    }

    close(code) {
        this.socket.close(code);
    }

    terminate() {
        this.socket.terminate();
    }
}

/* A server that accepts connections, says welcome, and for the rest does as it is told. */
export class FakeServer {
    #connections = [];
    #waiters = [];

    static async start() {
        const server = new FakeServer();
        server.sockets = new WebSocketServer({
            port: 0,
            host: '127.0.0.1',
            handleProtocols: (offered) => {
                server.offered = [...offered];
                return 'switchboard.v1';
            },
            verifyClient: (_, answer) => answer(!server.refusesWith, server.refusesWith),
        });
        server.sockets.on('connection', (socket, request) => {
            const connection = new Connection(socket, request);
            const waiter = server.#waiters.shift();
            if (waiter) {
                waiter(connection);
            } else {
                server.#connections.push(connection);
            }
        });
        await once(server.sockets, 'listening');
        return server;
    }

    get url() {
        return `ws://127.0.0.1:${this.sockets.address().port}`;
    }

    /* The next connection that no test has taken yet. */
    async connection() {
        const waiting = this.#connections.shift();
        return waiting ?? within('a connection', new Promise((take) => this.#waiters.push(take)));
    }

    async stop() {
        this.sockets.clients.forEach((socket) => socket.terminate());
        this.sockets.close();
        await once(this.sockets, 'close');
    }
}

/* A server, a clock and phones; all of it ends with the test. `random` is as good as 1, so a
 * backoff is as long as it can be. */
export async function startWorld(t) {
    const server = await FakeServer.start();
    const clock = new Clock();
    const phones = [];
    t.after(async () => {
        phones.forEach((phone) => phone.disconnect());
        await server.stop();
        assert.equal(clock.pending, 0, 'timers are left behind');
    });
    const makePhone = (options = {}) => {
        const phone = new Switchboard({
            url: server.url,
            userId: 'alice',
            media: 'none',
            WebSocket,
            random: () => 0.999999,
            now: clock.now,
            setTimeout: clock.setTimeout,
            clearTimeout: clock.clearTimeout,
            ...options,
        });
        phones.push(phone);
        return phone;
    };
    /* A phone that is online, and its connection. */
    const goOnline = async (options) => {
        const phone = makePhone(options);
        phone.connect();
        const connection = await server.connection();
        await inState(phone, 'online');
        return { phone, connection };
    };
    return { server, clock, makePhone, goOnline };
}

/* ---- Cameras and microphones ---- */

export class FakeTrack {
    readyState = 'live';
    enabled = true;
    onended = null;

    constructor(kind, deviceId = 'default') {
        this.kind = kind;
        this.deviceId = deviceId;
    }

    stop() {
        this.readyState = 'ended';
    }
}

export class FakeStream {
    #tracks = new Set();

    constructor(tracks = []) {
        tracks.forEach((track) => this.addTrack(track));
    }

    getTracks() {
        return [...this.#tracks];
    }

    addTrack(track) {
        this.#tracks.add(track);
    }

    removeTrack(track) {
        this.#tracks.delete(track);
    }
}

/* getUserMedia of a machine with these devices; `refusals`: name of an exception by kind. */
export class FakeDevices {
    asked = []; /* the kinds of each request, as text */
    tracks = [];
    refusals = {};

    getUserMedia = async (constraints) => {
        const kinds = Object.keys(constraints);
        this.asked.push(kinds.join('+'));
        const name = kinds.map((kind) => this.refusals[kind]).find(Boolean);
        if (name) {
            throw new DOMException('as the test wants it', name);
        }
        const tracks = kinds.map(
            (kind) => new FakeTrack(kind, constraints[kind].deviceId?.exact ?? 'default'),
        );
        this.tracks.push(...tracks);
        return new FakeStream(tracks);
    };

    get live() {
        return this.tracks.filter(({ readyState }) => readyState === 'live');
    }
}

/* As much of RTCPeerConnection as tells what the library does with it; nothing flows. */
export class FakePeerConnection {
    static made = [];
    connectionState = 'new';
    iceConnectionState = 'new';
    signalingState = 'stable';
    localDescription = null;
    remoteDescription = null;
    candidates = [];
    restarts = 0;
    #transceivers = [];
    #descriptions = 0;

    constructor(configuration) {
        this.configuration = configuration;
        FakePeerConnection.made.push(this);
    }

    addTransceiver(kind, { direction = 'sendrecv' } = {}) {
        const transceiver = {
            direction,
            currentDirection: null,
            theirs: 'sendrecv' /* what the other side makes of it */,
            receiver: { track: new FakeTrack(kind) },
            sender: {
                track: null,
                async replaceTrack(track) {
                    transceiver.sender.track = track;
                },
            },
        };
        this.#transceivers.push(transceiver);
        this.#need();
        return transceiver;
    }

    addTrack(track) {
        this.addTransceiver(track.kind).sender.track = track;
    }

    getTransceivers() {
        return this.#transceivers;
    }

    #need() {
        if (!this.isNeeded) {
            this.isNeeded = true;
            setImmediate(() => {
                this.isNeeded = false;
                if (this.signalingState === 'stable') {
                    this.onnegotiationneeded?.();
                }
            });
        }
    }

    restartIce() {
        this.restarts += 1;
        if (this.signalingState === 'stable') {
            this.#need();
        }
    }

    #settle() {
        this.signalingState = 'stable';
        for (const transceiver of this.#transceivers) {
            const { direction, theirs } = transceiver;
            const sends = direction.includes('send') && theirs.includes('recv');
            const receives = direction.includes('recv') && theirs.includes('send');
            transceiver.currentDirection = `${sends ? 'send' : ''}${receives ? 'recv' : ''}`;
        }
    }

    async setLocalDescription() {
        this.#descriptions += 1;
        const type = this.signalingState === 'have-remote-offer' ? 'answer' : 'offer';
        this.localDescription = { type, sdp: `${type} ${this.#descriptions}` };
        if (type === 'offer') {
            this.signalingState = 'have-local-offer';
        } else {
            this.#settle();
        }
    }

    async setRemoteDescription({ type, sdp }) {
        this.remoteDescription = { type, sdp };
        if (type === 'answer') {
            this.#settle();
        } else {
            this.signalingState = 'have-remote-offer';
        }
        if (type === 'offer' && this.#transceivers.length === 0) {
            for (const kind of ['audio', 'video']) {
                this.addTransceiver(kind, { direction: 'recvonly' });
                this.ontrack?.({ track: this.#transceivers.at(-1).receiver.track });
            }
        }
    }

    async addIceCandidate(candidate) {
        assert.notEqual(this.remoteDescription, null, 'a candidate before the description');
        this.candidates.push(candidate ?? null);
    }

    /* The test's word on how the path is. */
    become(state) {
        this.connectionState = this.iceConnectionState = state;
        this.onconnectionstatechange?.();
    }

    close() {
        this.connectionState = this.signalingState = 'closed';
    }
}
