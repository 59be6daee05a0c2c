// A telephone on top of Switchboard: signaling over a WebSocket that comes back by itself, calls
// whose states follow the server's word, and sound and picture over WebRTC. One file, nothing from
// elsewhere; the protocol is in PROTOCOL.md, the types are in switchboard.d.ts.
//
//     <script src="switchboard.js"></script>              a page: defines Switchboard
//     import './switchboard.js';                          a module: defines globalThis.Switchboard
//     const Switchboard = require('./switchboard.js');    CommonJS
//
//     const phone = new Switchboard({ url: '', userId: 'alice' });
//     phone.on('incoming', (call) => call.accept());
//     phone.connect();
//     const call = phone.call('bob', { video: true });
//     call.on('remote', (stream) => { video.srcObject = stream; });
//
// In Node, where there is no WebRTC, it does the signaling alone. Where there is no WebSocket
// either, hand one in: new Switchboard({ url, userId, WebSocket: require('ws') }).
(() => { // the body of the file is not indented for this
'use strict';

const PROTOCOL = 'switchboard.v1';
const USER_ID_MAX_BYTES = 128;
const DEVICE_ID_MAX_BYTES = 64;
const MESSAGE_MAX_BYTES = 65536;
const STABLE_AFTER_MS = 5000; // a connection that held this long starts the backoff afresh
const SEEN_MAX = 200; // messages remembered in order to drop repeats
const RING_SLACK_MS = 1500; // the server ends a ringing call first, if it is there
const GLARE_WAIT_MS = 10000;
const EARLY_MAX = 200; // signals and candidates held until they can be used
const SHAKY_MS = 2000; // a path that is `disconnected` often mends itself
const RESTART_GAP_MS = 3000;
const RESTART_AFTER_MS = 10000; // no path yet: offer again
const RESTART_POLITE_EXTRA_MS = 4000; // so that not both sides offer at the same moment
const KINDS = ['audio', 'video'];

/* ---- Small things ---- */

/** An outcome that is not an ack. `code` is for programs, `message` for people. */
class SwitchboardError extends Error {
    constructor(code, message, details = {}) {
        super(message);
        this.name = 'SwitchboardError';
        this.code = code;
        Object.assign(this, details);
    }

    // The server's `error` message as an exception.
    static from({ type, code, message, ...details }) {
        const isOurs = { fromServer: true };
        return new SwitchboardError(String(code), String(message), { ...details, ...isOurs });
    }
}

/** Events by name. A listener that throws disturbs nobody else. */
class Emitter extends EventTarget {
    /** Calls `fn` with the detail of each event of that name; returns how to stop that. */
    on(name, fn) {
        const listener = (event) => fn(event.detail);
        this.addEventListener(name, listener);
        return () => this.removeEventListener(name, listener);
    }

    _emit(name, detail) {
        const event = new Event(name);
        event.detail = detail;
        this.dispatchEvent(event);
    }
}

// One timer for one purpose: starting it again replaces it.
class Timer {
    #env;
    #handle = null;

    constructor(env) {
        this.#env = env;
    }

    get isRunning() {
        return this.#handle !== null;
    }

    start(ms, fn) {
        this.stop();
        this.#handle = this.#env.setTimeout(() => {
            this.#handle = null;
            fn();
        }, ms);
    }

    stop() {
        if (this.#handle !== null) this.#env.clearTimeout(this.#handle);
        this.#handle = null;
    }
}

// The last `max` keys.
class Recent {
    #max;
    #keys = new Set();

    constructor(max) {
        this.#max = max;
    }

    has(key) {
        return this.#keys.has(key);
    }

    // False: it was there already.
    add(key) {
        if (this.#keys.has(key)) return false;
        this.#keys.add(key);
        if (this.#keys.size > this.#max) this.#keys.delete(this.#keys.values().next().value);
        return true;
    }
}

// Exponential, with full jitter, so that a server's clients do not all return in the same instant.
class Backoff {
    #firstMs;
    #maxMs;
    #random;
    #attempts = 0;

    constructor({ firstMs = 250, maxMs = 15000, random = Math.random } = {}) {
        this.#firstMs = firstMs;
        this.#maxMs = maxMs;
        this.#random = random;
    }

    get isFresh() {
        return this.#attempts === 0;
    }

    nextMs() {
        const most = Math.min(this.#maxMs, this.#firstMs * 2 ** this.#attempts);
        this.#attempts += 1;
        return this.#random() * most;
    }

    reset() {
        this.#attempts = 0;
    }
}

// Close codes that are not simply "come back later"; 4500 to 4599 ask us to stay away.
const CLOSE_VERDICTS = new Map([
    [1001, 'at-once'],
    [1002, 'our-mistake'],
    [1003, 'our-mistake'],
    [1007, 'our-mistake'],
    [1009, 'our-mistake'],
]);

const CLOSE_SENTENCES = {
    1001: 'The server is restarting.',
    1006: 'The connection was lost.',
    1011: 'The server is in trouble.',
    1012: 'The server is restarting.',
    4001: 'This client read its messages too slowly.',
    4002: 'The server had not heard from this client for a while.',
    4501: 'A newer connection of this user and device has taken the place of this one.',
};

function closeVerdict(code) {
    if (code >= 4500 && code <= 4599) return 'stay-away';
    return CLOSE_VERDICTS.get(code) ?? 'later';
}

function byteLength(text) {
    return new TextEncoder().encode(text).length;
}

function isName(text, maxBytes) {
    return typeof text === 'string' && byteLength(text) <= maxBytes
        && !/[\p{Cc}\p{Cs}]/u.test(text);
}

function requireName(what, text, maxBytes) {
    if (!isName(text, maxBytes) || (text === '' && what === 'userId')) {
        throw new SwitchboardError('bad-name',
            `${what} must be a text of at most ${maxBytes} bytes without control characters`);
    }
}

function randomLetters(random, count) {
    return Array.from({ length: count }, () => Math.floor(random() * 36).toString(36)).join('');
}

function newCallId(random) {
    const bytes = new Uint8Array(16);
    if (globalThis.crypto?.getRandomValues) globalThis.crypto.getRandomValues(bytes);
    else bytes.forEach((_, i) => { bytes[i] = Math.floor(random() * 256); });
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// '' is the page's own origin; http stands for ws; without a path it is /ws.
function connectionUrl(given, userId, deviceId) {
    const text = given === '' ? globalThis.location?.origin : given;
    const isSchemed = /^[a-z]+:\/\//i.test(text ?? '');
    let url;
    try {
        url = new URL(isSchemed ? text.replace(/^http/i, 'ws') : `ws://${text}`);
    } catch {
        url = null;
    }
    if (!text || text === 'null' || !/^wss?:$/.test(url?.protocol)) {
        throw new SwitchboardError('bad-url', `"${given}" is not the address of a server`);
    }
    if (url.pathname === '/') url.pathname = '/ws';
    const device = deviceId === '' ? '' : `&deviceId=${encodeURIComponent(deviceId)}`;
    url.search = `?userId=${encodeURIComponent(userId)}${device}`;
    url.hash = '';
    return url.href;
}

// Calls `onChange` when this machine is on another network; returns how to stop that.
function watchNetwork(onChange) {
    const connection = globalThis.navigator?.connection;
    let type = connection?.type;
    // `change` also reports new estimates of speed, which are none of our business.
    const onConnection = () => {
        if (connection.type === type) return;
        type = connection.type;
        if (globalThis.navigator.onLine !== false) onChange();
    };
    globalThis.addEventListener?.('online', onChange);
    connection?.addEventListener?.('change', onConnection);
    return () => {
        globalThis.removeEventListener?.('online', onChange);
        connection?.removeEventListener?.('change', onConnection);
    };
}

// What is taken from the world around, replaceable one by one. Bare calls: browsers refuse to have
// their functions called as methods of something else.
function environmentOf(options) {
    const pick = (name) => options[name] ?? globalThis[name];
    const setTimeout = pick('setTimeout');
    const clearTimeout = pick('clearTimeout');
    const devices = globalThis.navigator?.mediaDevices;
    return {
        WebSocket: pick('WebSocket'),
        RTCPeerConnection: pick('RTCPeerConnection'),
        MediaStream: pick('MediaStream'),
        iceServers: options.iceServers ?? [],
        getUserMedia: options.getUserMedia
            ?? (devices?.getUserMedia && ((constraints) => devices.getUserMedia(constraints))),
        random: options.random ?? Math.random,
        now: options.now ?? Date.now,
        setTimeout: (fn, ms) => setTimeout(fn, ms),
        clearTimeout: (handle) => clearTimeout(handle),
    };
}

/* ---- The outbox: every message until its outcome ---- */

// Keeps what has no outcome yet, in order, and submits it again over the next connection under the
// same id, which the server recognises. `write(entry)` puts an entry on the wire;
// `onOverdue(entry)` hears of each that was given up.
class Outbox {
    #env;
    #options;
    #entries = new Map(); // id -> entry, oldest first
    #isOpen = false;
    #prefix;
    #count = 0;

    constructor(env, { timeoutMs, max, write, onOverdue = () => {} }) {
        this.#env = env;
        this.#options = { timeoutMs, max, write, onOverdue };
        this.#prefix = randomLetters(env.random, 8);
    }

    get size() {
        return this.#entries.size;
    }

    // `done(error, ack)` is called once, never before this returns. Returns the message's id.
    add(message, done) {
        this.#count += 1;
        const id = `${this.#prefix}-${this.#count}`;
        const sent = { ...message, id };
        const text = JSON.stringify(sent);
        const fail = (code, sentence) => queueMicrotask(() =>
            done(new SwitchboardError(code, sentence, { to: message.to, id })));
        if (this.#entries.size >= this.#options.max) {
            fail('queue-full', `${this.#options.max} messages have no outcome yet`);
        } else if (byteLength(text) > MESSAGE_MAX_BYTES) {
            fail('message-too-big', `the message is larger than ${MESSAGE_MAX_BYTES} bytes`);
        } else {
            const entry = { id, message: sent, text, done, isSent: false, sentAt: 0,
                timer: new Timer(this.#env) };
            this.#entries.set(id, entry);
            entry.timer.start(this.#options.timeoutMs, () => this.#expire(entry));
            if (this.#isOpen) this.#write(entry);
        }
        return id;
    }

    // There is a connection: first what is waiting, older before newer.
    open() {
        // What is added meanwhile goes to the end of this map, so the loop gets there.
        for (const entry of this.#entries.values()) this.#write(entry);
        this.#isOpen = true;
    }

    close() {
        this.#isOpen = false;
    }

    // The server's ack or error. False: it names no message of ours.
    settle(answer) {
        const entry = this.#entries.get(answer.id);
        if (!entry) return false;
        this.#remove(entry);
        if (answer.type === 'ack') entry.done(null, answer);
        else entry.done(SwitchboardError.from(answer));
        return true;
    }

    // Takes back what was never on the wire; false if it was.
    withdraw(id) {
        const entry = this.#entries.get(id);
        if (!entry || entry.isSent) return false;
        this.#remove(entry);
        return true;
    }

    // Gives up on everything.
    clear(code, sentence) {
        for (const entry of [...this.#entries.values()]) {
            this.#remove(entry);
            const { id, message: { to } } = entry;
            entry.done(new SwitchboardError(code, sentence, { to, id }));
        }
    }

    #write(entry) {
        entry.isSent = true;
        entry.sentAt = this.#env.now();
        this.#options.write(entry);
    }

    #expire(entry) {
        this.#remove(entry);
        const details = { to: entry.message.to, id: entry.id };
        entry.done(entry.isSent
            ? new SwitchboardError('unconfirmed', 'it may or may not have been delivered', details)
            : new SwitchboardError('not-sent', 'there was no connection to send it over', details));
        this.#options.onOverdue(entry);
    }

    #remove(entry) {
        entry.timer.stop();
        this.#entries.delete(entry.id);
    }
}

/* ---- The line: one WebSocket, renewed for as long as it is wanted ---- */

// States: offline (never wanted), connecting, online, waiting (to try again), stopped (told to stay
// away, or no longer wanted). Hooks: onState(detail), onText(text).
class Line {
    state = 'offline';
    heardAt = 0;
    #env;
    #url;
    #connectTimeoutMs;
    #hooks;
    #backoff;
    #timer;
    #socket = null;
    #onlineAt = 0;

    constructor(env, { url, backoff, connectTimeoutMs, ...hooks }) {
        this.#env = env;
        this.#url = url;
        this.#backoff = backoff;
        this.#connectTimeoutMs = connectTimeoutMs;
        this.#hooks = hooks;
        this.#timer = new Timer(env);
    }

    // Wants the connection, or has it tried again now.
    connect() {
        if (this.state === 'connecting' || this.state === 'online') return;
        this.#backoff.reset();
        this.#dial();
    }

    // Leaves the connection, which may be dead, for a new one.
    renew(reason) {
        if (this.state === 'offline' || this.state === 'stopped') return;
        this.#release();
        this.#dial({ reason });
    }

    disconnect() {
        this.#release();
        if (this.state !== 'stopped') this.#moveTo('stopped', { reason: 'disconnected' });
    }

    // False: there is no connection to write to.
    write(text) {
        if (this.#socket?.readyState !== 1) return false;
        this.#socket.send(text);
        return true;
    }

    #dial(why = {}) {
        this.#timer.stop();
        let socket;
        try {
            socket = new this.#env.WebSocket(this.#url, PROTOCOL);
        } catch (error) {
            this.#moveTo('stopped', { reason: 'bad-url', sentence: error.message });
            return;
        }
        this.#socket = socket;
        socket.onopen = () => this.#opened();
        socket.onmessage = ({ data }) => {
            this.heardAt = this.#env.now();
            this.#hooks.onText(data);
        };
        socket.onclose = ({ code, reason }) => this.#lost(code, reason);
        socket.onerror = () => {}; // what follows is `close`
        this.#timer.start(this.#connectTimeoutMs, () => this.#lost(1006, 'no answer'));
        this.#moveTo('connecting', why);
    }

    #opened() {
        this.#timer.stop();
        this.#onlineAt = this.#env.now();
        this.#moveTo('online');
    }

    #lost(closeCode, reason) {
        const held = this.state === 'online' && this.#env.now() - this.#onlineAt >= STABLE_AFTER_MS;
        if (held) this.#backoff.reset();
        this.#release();
        const why = { closeCode, reason, sentence: CLOSE_SENTENCES[closeCode] ?? reason };
        const verdict = closeVerdict(closeCode);
        if (verdict === 'stay-away' || verdict === 'our-mistake') {
            this.#moveTo('stopped', { ...why, isMistake: verdict === 'our-mistake' });
            return;
        }
        // At once, but not again and again.
        const isAtOnce = verdict === 'at-once' && this.#backoff.isFresh;
        const delayMs = this.#backoff.nextMs();
        if (isAtOnce) {
            this.#dial(why);
        } else {
            this.#timer.start(delayMs, () => this.#dial(why));
            this.#moveTo('waiting', { ...why, retryAt: this.#env.now() + delayMs });
        }
    }

    #release() {
        this.#timer.stop();
        const socket = this.#socket;
        this.#socket = null;
        if (!socket) return;
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close(1000);
    }

    #moveTo(state, detail = {}) {
        const previous = this.state;
        this.state = state;
        this.#hooks.onState({ state, previous, ...detail });
    }
}

/* ---- Our own sound and picture ---- */

const THINGS = { audio: 'microphone', video: 'camera' };
const DEVICE_KINDS = { audioinput: 'audio', videoinput: 'video' };
const CONSTRAINTS = { audio: {}, video: { width: { ideal: 1280 }, height: { ideal: 720 } } };
const NO_DEVICES = new Error('this page may not ask for camera and microphone');

const TROUBLE_EFFECTS = {
    camera: 'the call goes on without your picture',
    microphone: 'you can hear, but not be heard',
    'camera or microphone': 'you can receive, but not be seen or heard',
};
const TROUBLE_CAUSES = {
    NotAllowedError: (thing) => `There is no permission to use the ${thing}`,
    SecurityError: (thing) => `There is no permission to use the ${thing}`,
    NotFoundError: (thing) => `No ${thing} was found`,
    OverconstrainedError: (thing) => `No such ${thing} was found`,
    ended: (thing) => `The ${thing} is no longer there`,
};

function isRefusal(error) {
    return error.name === 'NotAllowedError' || error.name === 'SecurityError';
}

function troubleOf(thing, error, effect) {
    if (error === NO_DEVICES) {
        return globalThis.isSecureContext === false
            ? { kind: 'insecure', name: 'SecurityError', sentence: 'Browsers lend camera and'
                + ` microphone only to pages from https or localhost: ${effect}.` }
            : { kind: 'unsupported', name: 'NotSupportedError',
                sentence: `This browser has no use of camera and microphone: ${effect}.` };
    }
    const cause = TROUBLE_CAUSES[error.name]
        ?? (() => `The ${thing} could not be started, perhaps because another program uses it`);
    const both = error.name === 'NotFoundError' ? 'no-device' : 'camera-and-microphone';
    return { kind: thing === 'camera or microphone' ? both : thing, name: error.name,
        sentence: `${cause(thing)}: ${effect}.` };
}

const TROUBLE_NO_PATH = { kind: 'no-path', name: 'NoPath', sentence: 'No way has been found yet for'
    + ' sound and picture to reach the other side; still trying.' };

// Microphone and camera of one call. Asks for what is wanted and makes do with what there is; a
// camera that is off is released, so that its light is off too. `onChange()` and
// `onTrouble(trouble)` are the owner's.
class LocalMedia {
    stream = null;
    isMuted = false;
    isCameraOff = true;
    onChange = () => {};
    onTrouble = () => {};
    #env;
    #constraints = { ...CONSTRAINTS };
    #isOpened = false;
    #isClosed = false;
    #coming = { audio: 0, video: 0 }; // jobs that may bring one
    #jobs = Promise.resolve(); // one at a time

    constructor(env) {
        this.#env = env;
    }

    track(kind) {
        return this.stream?.getTracks().find((track) => track.kind === kind) ?? null;
    }

    // Whether a track is on its way: a person may take long to give permission.
    isComing(kind) {
        return this.#coming[kind] > 0;
    }

    // `audio`, `video`: whether to, or constraints for it. Only the first call counts.
    open(wanted) {
        if (this.#isOpened) return;
        this.#isOpened = true;
        const kinds = KINDS.filter((kind) => wanted[kind]);
        for (const kind of kinds) {
            if (typeof wanted[kind] === 'object') this.#constraints[kind] = wanted[kind];
        }
        this.isCameraOff = !wanted.video;
        this.#run(kinds, () => this.#acquireAny(kinds));
    }

    mute(isMuted) {
        this.isMuted = isMuted;
        const track = this.track('audio');
        if (track) track.enabled = !isMuted;
    }

    async setCameraOff(isOff) {
        this.isCameraOff = isOff;
        if (!isOff) {
            return this.#run(['video'], () =>
                !this.isCameraOff && (this.track('video') !== null || this.#acquireOne('video')));
        }
        this.#drop('video');
        this.onChange();
        return true;
    }

    async setDevice(kind, deviceId) {
        const before = this.#constraints[kind];
        this.#constraints[kind] = { ...CONSTRAINTS[kind], deviceId: { exact: deviceId } };
        if (!this.stream || (kind === 'video' && this.isCameraOff)) return true;
        const isDone = await this.#run([kind], () => this.#acquireOne(kind));
        if (!isDone) this.#constraints[kind] = before;
        return isDone;
    }

    close() {
        this.#isClosed = true;
        this.onChange = this.onTrouble = () => {};
        KINDS.forEach((kind) => this.#drop(kind));
    }

    // `job` resolves with whether it worked, and does not reject.
    #run(kinds, job) {
        kinds.forEach((kind) => { this.#coming[kind] += 1; });
        this.#jobs = this.#jobs.then(() => !this.#isClosed && job()).then((isDone) => {
            kinds.forEach((kind) => { this.#coming[kind] -= 1; });
            this.onChange();
            return isDone;
        });
        return this.#jobs;
    }

    // Both at once; else each alone. Who refused the microphone alone is not asked a third time.
    async #acquireAny(wanted) {
        const errors = {};
        const steps = wanted.length === 2 ? [wanted, ['audio'], ['video']] : [wanted];
        for (const kinds of steps) {
            try {
                await this.#acquire(kinds);
                break;
            } catch (error) {
                kinds.forEach((kind) => { errors[kind] = error; });
                if (error === NO_DEVICES || (kinds.length === 1 && isRefusal(error))) break;
            }
        }
        const missing = wanted.filter((kind) => errors[kind] && !this.track(kind)
            && !(kind === 'video' && this.isCameraOff));
        if (missing.length === 2) this.#complain('camera or microphone', errors.audio);
        if (missing.length === 1) this.#complain(THINGS[missing[0]], errors[missing[0]]);
        this.isCameraOff ||= this.track('video') === null;
        return missing.length === 0;
    }

    async #acquireOne(kind) {
        try {
            await this.#acquire([kind]);
        } catch (error) {
            if (kind === 'video') this.isCameraOff = this.track('video') === null;
            const effect = this.track(kind) ? 'the one in use stays' : undefined;
            this.#complain(THINGS[kind], error, effect);
            return false;
        }
        return this.track(kind) !== null;
    }

    async #acquire(kinds) {
        if (!this.#env.getUserMedia) throw NO_DEVICES;
        const wanted = Object.fromEntries(kinds.map((kind) => [kind, this.#constraints[kind]]));
        const got = await this.#env.getUserMedia(wanted);
        for (const track of got.getTracks()) {
            if (this.#isClosed || (track.kind === 'video' && this.isCameraOff)) {
                track.stop();
                continue;
            }
            this.#drop(track.kind);
            this.stream ??= new this.#env.MediaStream();
            this.stream.addTrack(track);
            if (track.kind === 'audio') track.enabled = !this.isMuted;
            track.onended = () => this.#onUnplugged(track); // our own stop() does not fire it
        }
    }

    #complain(thing, error, effect = TROUBLE_EFFECTS[thing]) {
        this.onTrouble(troubleOf(thing, error, effect));
    }

    #onUnplugged(track) {
        this.#drop(track.kind);
        if (track.kind === 'video') this.isCameraOff = true;
        this.#complain(THINGS[track.kind], { name: 'ended' });
        this.onChange();
    }

    #drop(kind) {
        const track = this.track(kind);
        if (!track) return;
        track.onended = null;
        track.stop();
        this.stream.removeTrack(track);
    }
}

/* ---- The peer connection: perfect negotiation, and getting up again after a fall ---- */

// Hooks: send(type, members), canSignal(), onHealth('connected' | 'broken'), onRemote(stream),
// onTrouble(trouble), onError(error).
class Peer {
    remote = null;
    #pc;
    #isPolite;
    #hooks;
    #env;
    #tracks = { audio: { track: null, isComing: false }, video: { track: null, isComing: false } };
    #isStarted = false; // there is an offer; before that the callee must not make one
    #isOffering = false;
    #isConnected = false;
    #isClosed = false;
    #offerId = 0;
    #heldCandidates = [];
    #jobs = Promise.resolve();
    #recovery;
    #restartedAt = -Infinity;
    #restarts = 0; // without success
    #isRestartDue = false;

    constructor(env, { isPolite, ...hooks }) {
        this.#env = env;
        this.#isPolite = isPolite;
        this.#hooks = hooks;
        this.#recovery = new Timer(env);
        const pc = new env.RTCPeerConnection({ iceServers: env.iceServers });
        this.#pc = pc;
        pc.onnegotiationneeded = () => this.#offer();
        pc.onicecandidate = ({ candidate }) => // null: no more of them
            this.#hooks.send('call-candidate', { candidate: candidate?.toJSON?.() ?? candidate });
        pc.ontrack = ({ track }) => this.#onTrack(track);
        pc.onconnectionstatechange = pc.oniceconnectionstatechange = () => this.#onState();
    }

    // Whether the other side sends a picture, by what was agreed: `muted` of its track is not to be
    // relied on in Chromium after both sides have offered at the same moment.
    get hasPicture() {
        return !this.#isClosed && this.#pc.getTransceivers().some((each) =>
            each.receiver.track.kind === 'video' && /recv/.test(each.currentDirection));
    }

    // The caller's first offer. It goes out at once: tracks that are still to come need no other.
    start(kinds) {
        kinds.forEach((kind) => this.#pc.addTransceiver(kind, { direction: 'sendrecv' }));
        this.#isStarted = true;
        KINDS.forEach((kind) => this.#applyTrack(kind));
        this.#planRestart(RESTART_AFTER_MS);
    }

    setTrack(kind, track, isComing) {
        this.#tracks[kind] = { track, isComing };
        if (this.#isStarted && !this.#isClosed) this.#applyTrack(kind);
    }

    // A call-offer, call-answer or call-candidate, one after the other.
    receive(message) {
        const handle = message.type === 'call-candidate'
            ? () => this.#onCandidate(message.candidate)
            : () => this.#onDescription(message.type.replace('call-', ''), message);
        this.#jobs = this.#jobs.then(() => !this.#isClosed && handle()).catch(this.#report);
    }

    // Looks for a new path, as soon as offers can be sent.
    restart() {
        if (this.#isClosed || !this.#isStarted) return;
        this.#isRestartDue = !this.#hooks.canSignal();
        if (this.#isRestartDue) return;
        this.#restartedAt = this.#env.now();
        this.#planRestart(RESTART_AFTER_MS);
        if (!this.#isConnected) this.#restarts += 1;
        if (this.#restarts === 2) this.#hooks.onTrouble(TROUBLE_NO_PATH);
        this.#pc.restartIce(); // once it is stable, the connection says that negotiation is needed
        if (this.#pc.signalingState === 'have-local-offer') this.#offer();
    }

    // The server is back. An offer under way is sent again by the outbox.
    onSignalingBack() {
        const isBroken = !this.#isConnected && this.#pc.signalingState === 'stable';
        if (isBroken || this.#isRestartDue) this.restart();
    }

    // An offer or answer did not arrive.
    onSignalLost() {
        this.#planRestart(0);
    }

    close() {
        const pc = this.#pc;
        this.#isClosed = true;
        this.#recovery.stop();
        pc.onnegotiationneeded = pc.onicecandidate = pc.ontrack = null;
        pc.onconnectionstatechange = pc.oniceconnectionstatechange = null;
        for (const track of this.remote?.getTracks() ?? []) {
            track.onmute = track.onunmute = track.onended = null;
        }
        pc.close();
    }

    #report = (error) => {
        if (!this.#isClosed) this.#hooks.onError(error);
    };

    async #offer() {
        try {
            this.#isOffering = true;
            await this.#pc.setLocalDescription();
            if (this.#isClosed || this.#pc.localDescription.type !== 'offer') return;
            this.#offerId += 1;
            const { sdp } = this.#pc.localDescription;
            this.#hooks.send('call-offer', { sdp, offerId: this.#offerId });
            // Without an answer there would never be another offer.
            if (!this.#recovery.isRunning) this.#planRestart(RESTART_AFTER_MS);
        } catch (error) {
            this.#report(error);
        } finally {
            this.#isOffering = false;
        }
    }

    async #onDescription(type, { sdp, offerId }) {
        const pc = this.#pc;
        const isStable = pc.signalingState === 'stable' && !this.#isOffering;
        if (type === 'offer' && !isStable && !this.#isPolite) return; // ours stands
        const isStale = offerId !== undefined && offerId !== this.#offerId;
        if (type === 'answer' && (isStale || pc.signalingState !== 'have-local-offer')) return;

        const { hasPicture } = this;
        await pc.setRemoteDescription({ type, sdp });
        for (const candidate of this.#heldCandidates.splice(0)) await this.#onCandidate(candidate);
        if (type === 'offer' && !this.#isClosed) await this.#answer(offerId);
        if (this.#isClosed || !this.remote) return;
        if (this.hasPicture !== hasPicture) this.#hooks.onRemote(this.remote);
    }

    async #answer(offerId) {
        if (!this.#isStarted) this.#planRestart(RESTART_AFTER_MS);
        this.#isStarted = true;
        KINDS.forEach((kind) => this.#applyTrack(kind));
        await this.#pc.setLocalDescription();
        if (this.#isClosed) return;
        this.#hooks.send('call-answer', { sdp: this.#pc.localDescription.sdp, offerId });
    }

    async #onCandidate(candidate) {
        if (!this.#pc.remoteDescription) {
            if (this.#heldCandidates.length < EARLY_MAX) this.#heldCandidates.push(candidate);
            return;
        }
        try {
            await this.#pc.addIceCandidate(candidate ?? undefined);
        } catch {
            // Of an offer that gave way, or from before a restart: there are better ones.
        }
    }

    #applyTrack(kind) {
        const { track, isComing } = this.#tracks[kind];
        const transceiver = this.#pc.getTransceivers().find((each) =>
            each.receiver.track.kind === kind && each.direction !== 'stopped');
        if (!transceiver) {
            // Unlike those of addTransceiver, a remote offer of the same moment can make use of it.
            if (track) this.#pc.addTrack(track);
            return;
        }
        transceiver.sender.replaceTrack(track).catch(this.#report);
        const direction = track || isComing ? 'sendrecv' : 'recvonly';
        if (transceiver.direction !== direction) transceiver.direction = direction;
    }

    // The event's streams are empty for a track that came later than its transceiver.
    #onTrack(track) {
        this.remote ??= new this.#env.MediaStream();
        if (!this.remote.getTracks().includes(track)) this.remote.addTrack(track);
        const tell = () => this.#hooks.onRemote(this.remote);
        track.onmute = track.onunmute = track.onended = tell;
        tell();
    }

    #onState() {
        const { connectionState, iceConnectionState } = this.#pc;
        const states = [connectionState, iceConnectionState];
        const isUp = connectionState === 'connected'
            || (connectionState === undefined && /connected|completed/.test(iceConnectionState));
        if (states.includes('failed')) {
            this.#fell(0);
        } else if (states.includes('disconnected')) {
            this.#fell(SHAKY_MS);
        } else if (isUp) {
            this.#isConnected = true;
            this.#restarts = 0;
            if (this.#pc.signalingState === 'stable') this.#recovery.stop();
            this.#hooks.onHealth('connected');
        }
    }

    #fell(delayMs) {
        this.#isConnected = false;
        this.#planRestart(delayMs);
        this.#hooks.onHealth('broken');
    }

    #planRestart(delayMs) {
        const extra = delayMs >= RESTART_AFTER_MS && this.#isPolite ? RESTART_POLITE_EXTRA_MS : 0;
        const gap = this.#restartedAt + RESTART_GAP_MS - this.#env.now();
        this.#recovery.start(Math.max(delayMs + extra, gap), () => {
            if (!this.#isConnected || this.#pc.signalingState !== 'stable') this.restart();
        });
    }
}

/* ---- A call ---- */

const MOVES = {
    calling: ['ringing', 'connecting', 'connected', 'ended'],
    ringing: ['connecting', 'connected', 'ended'],
    connecting: ['connected', 'reconnecting', 'ended'],
    connected: ['reconnecting', 'ended'],
    reconnecting: ['connected', 'ended'],
    ended: [],
};

// Errors that can happen to anybody and are made good, by offering anew if need be.
const LOSSES = new Set(['overloaded', 'unavailable', 'unconfirmed', 'not-sent', 'queue-full']);

/** One call: what Switchboard.call() returns and its event `incoming` brings. */
class Call extends Emitter {
    state;
    result = null;
    reason = null;
    endedBy = null; // 'self', 'peer' or 'server'
    error = null; // the SwitchboardError that ended it
    answeredAt = null;
    endedAt = null;
    successor = null; // of a call that ended by glare: the one that stands
    predecessor = null;
    #host;
    #local;
    #peer = null;
    #ring;
    #startId = null;
    #accepting = null;
    #resolveAccepting = () => {};
    #early = []; // signals that came before there was a peer connection
    #hasMedia;
    #wasAway = false;

    constructor(host, options) {
        super();
        const { id, peer, direction, audio, video, data, hasMedia, ringMs } = options;
        const { env } = host;
        this.#host = host;
        this.id = id;
        this.peer = peer;
        this.peerDevice = options.peerDevice ?? null;
        this.direction = direction;
        this.audio = Boolean(audio);
        this.video = Boolean(video);
        this.data = data;
        this.state = direction === 'outgoing' ? 'calling' : 'ringing';
        this.startedAt = env.now();
        this.expiresAt = this.startedAt + ringMs;
        this.#hasMedia = hasMedia;
        this.#ring = new Timer(env);
        this.#ring.start(ringMs + RING_SLACK_MS, () => this.#onRungOut());
        if (hasMedia) this._adoptLocal(new LocalMedia(env));
    }

    /** Our own sound and picture, and that of the other side; null while there is none. */
    get localStream() {
        return this.#local?.stream ?? null;
    }

    get remoteStream() {
        return this.#peer?.remote ?? null;
    }

    /** Whether the other side sends a picture, or is about to. */
    get remoteVideo() {
        return this.#peer?.hasPicture ?? false;
    }

    get muted() {
        return this.#local?.isMuted ?? false;
    }

    get isCameraOff() {
        return this.#local?.isCameraOff ?? true;
    }

    /** Whether somebody has answered, or we have. */
    get isAnswered() {
        return this.#accepting !== null || this.answeredAt !== null;
    }

    /** Accepts an incoming call. Resolves, when the server has decided, with whether we have it. */
    accept({ audio = true, video = this.video } = {}) {
        if (this.direction !== 'incoming') return Promise.resolve(false);
        if (this.#accepting) return this.#accepting;
        if (this.state !== 'ringing') return Promise.resolve(false);
        this.#accepting = new Promise((resolve) => { this.#resolveAccepting = resolve; });
        this.#ring.stop();
        const members = { audio: Boolean(audio), video: Boolean(video), ...this.#mediaMember() };
        this.#post('call-accept', members, (error) => this.#onAcceptOutcome(error));
        this.#moveTo('connecting');
        if (this.#isLive()) {
            this.#local.open({ audio, video });
            this.#startMedia();
        }
        return this.#accepting;
    }

    /** Rejects an incoming call; `deviceOnly` lets it ring on at our other devices. */
    reject(reason = 'declined', { deviceOnly = false } = {}) {
        if (this.direction !== 'incoming' || this.isAnswered) {
            this.end(reason);
            return;
        }
        const scope = deviceOnly ? { scope: 'device' } : {};
        this.#leave('call-reject', { reason, ...scope }, 'rejected');
    }

    /** Gives up an outgoing call that has not been answered. */
    cancel(reason) {
        if (this.direction !== 'outgoing' || this.isAnswered) {
            this.end(reason);
        } else if (this.#host.withdraw(this.#startId)) {
            this.#finish('cancelled', reason, 'self'); // nobody has heard of it
        } else {
            this.#leave('call-cancel', { reason }, 'cancelled');
        }
    }

    /** Ends a call that has been answered. */
    hangUp(reason) {
        this.end(reason);
    }

    /** Leaves the call: cancels, rejects or hangs up, whichever it means now. */
    end(reason) {
        if (this.isAnswered) this.#leave('call-end', { reason }, 'completed');
        else if (this.direction === 'outgoing') this.cancel(reason);
        else this.reject(reason);
    }

    /** Silences our microphone, or opens it again. */
    mute(isMuted = true) {
        this.#local?.mute(isMuted);
    }

    /** Switches our camera off, or on, also where there was none. False: it did not work. */
    cameraOff(isOff = true) {
        return this.#isLive() ? this.#local.setCameraOff(isOff) : Promise.resolve(false);
    }

    /** Takes another microphone ('audioinput') or camera ('videoinput'). False: could not. */
    setDevice(kind, deviceId) {
        if (!this.#isLive() || !DEVICE_KINDS[kind]) return Promise.resolve(false);
        return this.#local.setDevice(DEVICE_KINDS[kind], deviceId);
    }

    #isLive() {
        return this.#hasMedia && this.state !== 'ended';
    }

    /* What follows with an underscore is for the phone. */

    // `wanted`: audio and video, which may be constraints.
    _dial(wanted) {
        const { audio, video, data } = this;
        const members = { audio, video, data, ...this.#mediaMember() };
        this.#startId = this.#post('call-start', members, (error) => this.#onStartOutcome(error));
        if (this.#hasMedia) this.#local.open(wanted);
    }

    _announceRinging() {
        this.#post('call-ringing');
    }

    _receive(message) {
        if (this.state !== 'ended') Call.#ON_SIGNAL[message.type]?.(this, message);
    }

    // The connection to the server is gone, or back after `awayMs`.
    _onLine(isOnline, awayMs) {
        if (!this.#hasMedia && this.answeredAt !== null) {
            this.#moveTo(isOnline ? 'connected' : 'reconnecting');
        }
        if (!isOnline) {
            this.#wasAway = true;
            return;
        }
        // Not a move for anybody after the answer, so it reaches nobody: it asks the server
        // whether there still is such a call.
        if (this.#wasAway && awayMs >= this.#host.verifyAfterMs) this.#post('call-ringing');
        this.#peer?.onSignalingBack();
    }

    _onNetworkChange() {
        this.#peer?.restart();
    }

    // Ends it without a word to the server, who cannot be reached or would not listen.
    _drop(result) {
        this.#finish(result, undefined, 'server');
    }

    _adoptLocal(local) {
        this.#local?.close();
        if (!this.#hasMedia) {
            local.close();
            return;
        }
        this.#local = local;
        local.onTrouble = (trouble) => this._emit('trouble', trouble);
        local.onChange = () => this.#onLocalChange();
        if (local.stream) this.#onLocalChange();
    }

    _yieldLocal() {
        const local = this.#local ?? null;
        this.#local = null;
        return local;
    }

    static #ON_SIGNAL = {
        'call-ringing': (call, message) => call.#onRinging(message),
        'call-accept': (call, message) => call.#onAccept(message),
        'call-reject': (call, message) => call.#onOver('rejected', message),
        'call-cancel': (call, message) => call.#onOver('cancelled', message),
        'call-end': (call, message) => call.#onEnd(message),
        'call-offer': (call, message) => call.#onMediaSignal(message),
        'call-answer': (call, message) => call.#onMediaSignal(message),
        'call-candidate': (call, message) => call.#onMediaSignal(message),
    };

    #onRinging() {
        if (this.state === 'calling') this.#moveTo('ringing');
    }

    #onAccept({ fromDevice, media }) {
        if (this.direction !== 'outgoing' || this.isAnswered) return;
        this.#ring.stop();
        this.peerDevice = fromDevice ?? null;
        this.#onHaveIt();
        if (media === 'none') {
            this.#hasMedia = false;
            this._yieldLocal()?.close();
        }
        this.#moveTo(this.#hasMedia ? 'connecting' : 'connected');
        if (this.#isLive()) this.#startMedia();
    }

    #onOver(result, { reason, server }) {
        this.#finish(server && reason ? reason : result, reason, server ? 'server' : 'peer');
    }

    #onEnd(message) {
        const unanswered = this.direction === 'outgoing' ? 'rejected' : 'cancelled';
        // The other side has forgotten the call, most likely because its page was loaded anew.
        const answered = message.reason === 'no-such-call' ? 'connection-lost' : 'completed';
        this.#onOver(this.isAnswered ? answered : unanswered, message);
    }

    #onMediaSignal(message) {
        if (this.#peer) this.#peer.receive(message);
        else if (this.#hasMedia && this.#early.length < EARLY_MAX) this.#early.push(message);
    }

    // The server is gone, or it is one that lets calls ring for ever.
    #onRungOut() {
        if (this.direction === 'incoming') this.#finish('missed', undefined, 'self');
        else this.#leave('call-cancel', { reason: 'no-answer' }, 'no-answer');
    }

    #onStartOutcome(error) {
        if (error === null || this.state !== 'calling') return;
        if (error.code === 'glare' && error.callId !== undefined) {
            this.#host.onGlare(this, error.callId);
            this.#finish('glare', undefined, 'server');
            return;
        }
        // They may be ringing all the same.
        if (error.code === 'unconfirmed') this.#post('call-cancel');
        this.#fail(error);
    }

    #onAcceptOutcome(error) {
        // A `bad-state` of an answered call: it was we who answered.
        if (error !== null && !(error.code === 'bad-state' && error.state === 'answered')) {
            this.#onRefused('call-accept', error);
            return;
        }
        if (this.state === 'ended') return;
        this.#onHaveIt();
        if (!this.#hasMedia) this.#moveTo('connected');
    }

    // It is we who answered, or they did.
    #onHaveIt() {
        this.answeredAt ??= this.#host.env.now();
        this.#resolveAccepting(true);
    }

    // What a message of this call met instead of an ack.
    #onRefused(type, error) {
        if (this.state === 'ended') {
            if (error.code === 'already-answered') this.#post('call-end');
            return;
        }
        const isEssential = type === 'call-accept' && this.answeredAt === null;
        switch (error.code) {
        case 'no-such-call':
        case 'not-in-call':
            this.#fail(error, this.#resultOfNoCall(error.code));
            break;
        case 'answered-elsewhere':
            this.#fail(error);
            break;
        case 'user-offline':
            if (type !== 'call-ringing') this.#fail(error, 'connection-lost');
            break;
        case 'bad-state': // what is true instead comes by itself
        case 'stopped':
            if (isEssential) this.#fail(error);
            break;
        default:
            if (isEssential) this.#leave('call-end', { reason: error.code }, error.code);
            else if (type === 'call-offer' || type === 'call-answer') this.#peer?.onSignalLost();
            if (!LOSSES.has(error.code)) this.#host.onError(error);
        }
    }

    #resultOfNoCall(code) {
        if (this.answeredAt === null && this.direction === 'incoming') return 'cancelled';
        return this.#wasAway ? 'connection-lost' : code;
    }

    #startMedia() {
        try {
            this.#peer = new Peer(this.#host.env, {
                isPolite: this.direction === 'incoming',
                send: (type, members) => this.#post(type, members),
                canSignal: () => this.#host.isOnline(),
                onHealth: (health) => this.#onHealth(health),
                onRemote: (stream) => this._emit('remote', stream),
                onTrouble: (trouble) => this._emit('trouble', trouble),
                onError: (error) => this.#host.onError(error),
            });
        } catch (error) {
            this.#host.onError(error);
            this.#leave('call-end', { reason: 'media-failed' }, 'media-failed');
            return;
        }
        this.#showTracks();
        if (this.direction === 'outgoing') this.#peer.start(this.video ? KINDS : ['audio']);
        this.#early.splice(0).forEach((message) => this.#peer.receive(message));
    }

    #onHealth(health) {
        if (health === 'connected') {
            this.#onHaveIt();
            this.#moveTo('connected');
        } else if (this.state === 'connected') {
            this.#moveTo('reconnecting');
        }
    }

    #onLocalChange() {
        this.#showTracks();
        if (this.localStream) this._emit('local', this.localStream);
    }

    #showTracks() {
        for (const kind of KINDS) {
            this.#peer?.setTrack(kind, this.#local.track(kind), this.#local.isComing(kind));
        }
    }

    #mediaMember() {
        return this.#hasMedia ? {} : { media: 'none' };
    }

    #post(type, members = {}, done = (error) => error && this.#onRefused(type, error)) {
        const message = { type, to: this.peer, callId: this.id, ...members };
        return this.#host.post(message, done);
    }

    #leave(type, members, result) {
        if (this.state === 'ended') return;
        this.#post(type, members);
        this.#finish(result, members.reason, 'self');
    }

    #fail(error, result = error.code) {
        this.error = error;
        this.#finish(result, error.code, 'server');
    }

    // Moves that are not legal are news that came late, and say nothing any more.
    #moveTo(state) {
        if (!MOVES[this.state].includes(state)) return;
        const previous = this.state;
        this.state = state;
        if (state === 'ended') this.#host.onEnded(this);
        this._emit('state', { state, previous });
    }

    #finish(result, reason, endedBy) {
        if (this.state === 'ended') return;
        this.#ring.stop();
        this.#peer?.close();
        this.#local?.close();
        this.#early = [];
        this.result = result;
        this.reason = reason ?? null;
        this.endedBy = endedBy;
        this.endedAt = this.#host.env.now();
        this.#resolveAccepting(false);
        this.#moveTo('ended');
        this._emit('ended', { result, reason: this.reason, endedBy });
    }
}

/* ---- The phone ---- */

const MISSED = new Set(['missed', 'cancelled', 'connection-lost']);
// What somebody sends who believes to be in a call with us.
const NEEDS_A_CALL = new Set(['call-ringing', 'call-accept', 'call-offer', 'call-answer',
    'call-candidate']);
// Of these even one that comes late, to a call that is over here, shows that the other side waits.
const WAITS_FOR_US = new Set(['call-accept', 'call-offer']);

/** A user's connection to the server and the calls over it. */
class Switchboard extends Emitter {
    /** The calls that are not over, by id. */
    calls = new Map();
    /** The server's name for the present connection. */
    sessionId = null;
    /** The detail of the latest event `state`. */
    stateDetail = { state: 'offline', previous: 'offline' };
    #env;
    #options;
    #line;
    #outbox;
    #host;
    #seen = new Recent(SEEN_MAX);
    #over = new Recent(SEEN_MAX); // ids of calls that ended here
    #turnedAway = new Recent(SEEN_MAX); // ids of calls that we said we do not know
    #awaited = new Map(); // id of the call that stands after a glare -> what to accept it with
    #lostAt = null;
    #unwatchNetwork = null;

    /** The options are in switchboard.d.ts. Throws if userId, deviceId or url cannot be. */
    constructor(options) {
        super();
        const { url = '', userId, deviceId = '', media = 'webrtc', ringMs = 60000 } = options;
        const { outcomeTimeoutMs = 15000, queueMax = 1000, connectTimeoutMs = 10000 } = options;
        const { verifyAfterMs = 8000 } = options; // the server keeps our part in a call for 10 s
        requireName('userId', userId, USER_ID_MAX_BYTES);
        requireName('deviceId', deviceId, DEVICE_ID_MAX_BYTES);
        const env = environmentOf(options);
        if (!env.WebSocket) {
            throw new SwitchboardError('unsupported', 'there is no WebSocket here: hand one in');
        }
        this.userId = userId;
        this.deviceId = deviceId;
        this.#env = env;
        this.#options = { hasMedia: media !== 'none' && Boolean(env.RTCPeerConnection), ringMs };
        this.#line = new Line(env, {
            url: connectionUrl(url, userId, deviceId),
            backoff: new Backoff({ firstMs: options.backoffFirstMs, maxMs: options.backoffMaxMs,
                random: env.random }),
            connectTimeoutMs,
            onState: (detail) => this.#onLineState(detail),
            onText: (text) => this.#onText(text),
        });
        this.#outbox = new Outbox(env, {
            timeoutMs: outcomeTimeoutMs,
            max: queueMax,
            write: ({ message, text }) => this.#write(message, text),
            onOverdue: (entry) => this.#onOverdue(entry),
        });
        this.#host = {
            env,
            verifyAfterMs,
            post: (message, done) => this.#post(message, done),
            withdraw: (id) => this.#outbox.withdraw(id),
            isOnline: () => this.state === 'online',
            onGlare: (call, callId) => this.#onGlare(call, callId),
            onEnded: (call) => this.#onCallEnded(call),
            onError: (error) => this._emit('error', error),
        };
    }

    /** 'offline' (not wanted yet), 'connecting', 'online', 'waiting' (to try again), 'stopped'. */
    get state() {
        return this.#line.state;
    }

    /** Cameras, microphones and loudspeakers; their labels are empty until one has been used. */
    static async devices() {
        const found = await globalThis.navigator?.mediaDevices?.enumerateDevices?.() ?? [];
        return found.map(({ kind, deviceId, label }) => ({ kind, deviceId, label }));
    }

    /** Connects, and stays connected; while waiting to try again: tries now. */
    connect() {
        this.#unwatchNetwork ??= watchNetwork(() => this.#onNetworkChange());
        this.#line.connect();
    }

    /** Ends all calls and the connection. */
    disconnect() {
        this.#eachCall((call) => call.end());
        this.#line.disconnect();
    }

    /** Calls somebody. `data` is for the other side's `call.data`; anything JSON can hold. */
    call(userId, { audio = true, video = true, data } = {}) {
        requireName('userId', userId, USER_ID_MAX_BYTES);
        JSON.stringify(data); // throws now what cannot be sent
        const call = new Call(this.#host, { ...this.#options, id: newCallId(this.#env.random),
            peer: userId, direction: 'outgoing', audio, video, data });
        this.calls.set(call.id, call);
        call._dial({ audio, video });
        this._emit('call', call);
        return call;
    }

    /**
     * Sends a message, now or once there is a connection; its `id` is assigned here. Resolves with
     * the server's ack, rejects with a SwitchboardError.
     */
    send(message) {
        return new Promise((resolve, reject) => {
            this.#post(message, (error, ack) => (error ? reject(error) : resolve(ack)));
        });
    }

    #post(message, done) {
        if (this.state === 'stopped') {
            queueMicrotask(() => done(new SwitchboardError('stopped', 'this phone is not connected',
                { to: message.to })));
            return null;
        }
        return this.#outbox.add(message, done);
    }

    #write(message, text) {
        if (this.#line.write(text)) this._emit('message', { direction: 'out', message, text });
    }

    #onLineState(detail) {
        const { state, previous } = detail;
        this.stateDetail = detail;
        if (previous === 'online') {
            this.#lostAt = this.#env.now();
            this.#outbox.close();
        }
        if (state !== 'online') this.sessionId = null;
        if (state === 'online') {
            this.#outbox.open();
            const awayMs = this.#lostAt === null ? 0 : this.#env.now() - this.#lostAt;
            this.#eachCall((call) => call._onLine(true, awayMs));
        } else if (state === 'stopped') {
            this.#onStopped(detail);
        } else if (previous === 'online') {
            this.#eachCall((call) => call._onLine(false));
        }
        this._emit('state', detail); // last: a listener may connect or disconnect
    }

    #onStopped({ closeCode, reason, sentence, isMistake }) {
        this.#unwatchNetwork?.();
        this.#unwatchNetwork = null;
        [...this.#awaited.keys()].forEach((callId) => this.#takeAwaited(callId)?.local?.close());
        this.#eachCall((call) => call._drop(closeCode === 4501 ? 'replaced' : 'stopped'));
        this.#outbox.clear('stopped', 'this phone is not connected any more');
        if (isMistake || reason === 'bad-url') {
            const words = sentence || `the server closed with ${closeCode}`;
            this._emit('error', new SwitchboardError(isMistake ? 'protocol-error' : reason, words,
                { closeCode }));
        }
    }

    #eachCall(visit) {
        [...this.calls.values()].forEach(visit);
    }

    // The old connection may be dead without anybody having noticed.
    #onNetworkChange() {
        if (this.state === 'waiting') this.#line.connect();
        else this.#line.renew('network-changed');
        this.#eachCall((call) => call._onNetworkChange());
    }

    // The server gives every message its outcome within 10 s, if it is there.
    #onOverdue({ isSent, sentAt }) {
        if (isSent && this.state === 'online' && this.#line.heardAt < sentAt) {
            this.#line.renew('silent');
        }
    }

    #onText(text) {
        let message = null;
        try {
            message = JSON.parse(text);
        } catch { /* said below */ }
        this._emit('message', { direction: 'in', message, text });
        if (typeof message?.type !== 'string') {
            this._emit('error', new SwitchboardError('bad-json', 'the server sent something odd'));
        } else if (message.type === 'welcome') {
            this.sessionId = message.sessionId ?? null;
        } else if (message.type === 'ack') {
            this.#outbox.settle(message);
        } else if (message.type === 'error') {
            const isKnown = this.#outbox.settle(message);
            if (!isKnown) this._emit('error', SwitchboardError.from(message));
        } else if (!this.#isRepeat(message)) {
            this.#onSignal(message);
        }
    }

    // Type and call belong to the key: other clients may count their ids from 1 at each start.
    #isRepeat({ id, from, fromDevice, type, callId }) {
        if (id === undefined) return false;
        return !this.#seen.add(JSON.stringify([from, fromDevice, id, type, callId]));
    }

    #onSignal(message) {
        const { type, from, callId } = message;
        if (typeof callId !== 'string' || typeof from !== 'string') return;
        const call = this.calls.get(callId);
        if (call) {
            if (call.peer === from) call._receive(message);
        } else if (type === 'call-start') {
            this.#onCallStart(message);
        } else if (NEEDS_A_CALL.has(type)) {
            this.#turnAway(message);
        }
    }

    #onCallStart({ from, fromDevice, callId, expiresInMs, audio, video, data, media }) {
        if (this.#over.has(callId)) return;
        const { hasMedia, ringMs } = this.#options;
        const call = new Call(this.#host, { id: callId, peer: from, peerDevice: fromDevice,
            direction: 'incoming', audio: audio !== false, video: video === true, data,
            hasMedia: hasMedia && media !== 'none',
            ringMs: Number.isFinite(expiresInMs) ? expiresInMs : ringMs });
        this.calls.set(callId, call);
        const glare = this.#takeAwaited(callId);
        if (glare) call.predecessor = glare.outgoing;
        else call._announceRinging();
        this._emit('call', call);
        if (glare) this.#join(glare, call);
        else if (call.state === 'ringing') this._emit('incoming', call);
    }

    #turnAway({ type, from, callId }) {
        if (this.#over.has(callId) && !WAITS_FOR_US.has(type)) return;
        if (!this.#turnedAway.add(callId)) return;
        this.#post({ type: 'call-end', to: from, callId, reason: 'no-such-call' }, () => {});
    }

    // We called each other: `callId` is their call, which stands and may still be on its way.
    #onGlare(outgoing, callId) {
        const glare = { outgoing, local: outgoing._yieldLocal(), timer: new Timer(this.#env) };
        const standing = this.calls.get(callId);
        if (standing) {
            this.#join(glare, standing);
        } else if (this.#over.has(callId)) {
            glare.local?.close();
        } else {
            this.#awaited.set(callId, glare);
            glare.timer.start(GLARE_WAIT_MS, () => this.#takeAwaited(callId)?.local?.close());
        }
    }

    #takeAwaited(callId) {
        const glare = this.#awaited.get(callId);
        glare?.timer.stop();
        this.#awaited.delete(callId);
        return glare;
    }

    #join({ outgoing, local }, standing) {
        outgoing.successor = standing;
        standing.predecessor = outgoing;
        if (standing.state !== 'ringing') {
            local?.close();
            return;
        }
        if (local) standing._adoptLocal(local);
        standing.accept({ audio: outgoing.audio, video: outgoing.video });
    }

    #onCallEnded(call) {
        this.calls.delete(call.id);
        this.#over.add(call.id);
        const isMissed = call.direction === 'incoming' && call.answeredAt === null
            && MISSED.has(call.result);
        if (isMissed) this._emit('missed', call);
    }
}

Object.assign(Switchboard, {
    PROTOCOL,
    Call,
    SwitchboardError,
    // For tests; not part of the interface.
    internals: { Backoff, Outbox, Recent, Timer, LocalMedia, Peer, closeVerdict, connectionUrl,
        environmentOf },
});

globalThis.Switchboard = Switchboard;
if (typeof module === 'object' && module.exports) module.exports = Switchboard;
})();
