/* The other end of a link, made by hand: nng's PAIR0 over ipc (its SP mapping for stream sockets)
 * and the records of common/link_codec.h. */
import net from 'node:net';

const PATIENCE_MS = 20000;
/* 0 'S' 'P' 0, the protocol (16: pair0), 0 0. */
export const SP_HEADER = Buffer.from([0, 0x53, 0x50, 0, 0, 16, 0, 0]);
const MESSAGE_HEAD_BYTES = 9;

export const KIND = {
    HELLO: 1,
    ATTACH: 2,
    DETACH: 3,
    RETIRE: 4,
    SYNCED: 5,
    SUBMIT: 6,
    DELIVERY_OUTCOME: 7,
    WELCOME: 8,
    ATTACHED: 9,
    RETIRED: 10,
    READY: 11,
    DELIVER: 12,
    SUBMIT_OUTCOME: 13,
    EVICT: 14,
    LEG: 15,
};
export const VERSION = 3;

/* CLOCK_MONOTONIC, which all processes of a machine share, in milliseconds. */
export function monotonicMs() {
    return process.hrtime.bigint() / 1000000n;
}

function deadline() {
    return u64(monotonicMs() + 9000n);
}

export function u16(value) {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    return bytes;
}

export function u32(value) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
}

export function u64(value) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
}

export function string(text) {
    const bytes = Buffer.from(text);
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/* A record of that kind; `parts` make its body. */
export function record(kind, ...parts) {
    const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
    return Buffer.concat([u32(body.length), Buffer.from([kind]), body]);
}

export const hello = (instance = 77) => record(KIND.HELLO, u16(VERSION), u64(instance));
export const welcome = (instance = 88) => record(KIND.WELCOME, u16(VERSION), u64(instance));

export function attach(sessionId, userId, deviceId = '') {
    return record(KIND.ATTACH, u64(sessionId), u64(1), [0], string(userId), string(deviceId));
}

export const synced = () => record(KIND.SYNCED);
export const ready = () => record(KIND.READY);

export function submit(seq, sessionId, to, payload) {
    const fields = [u64(seq), u64(sessionId), deadline(), [0], [0], string(to), string('')];
    return record(KIND.SUBMIT, ...fields, payload);
}

export function deliver(source, seq, sessionId, payload, { isRepeat = false } = {}) {
    const fields = [u64(source), u64(seq), sessionId, deadline(), [isRepeat ? 1 : 0]];
    return record(KIND.DELIVER, ...fields, payload);
}

export const leg = (sessionId, callId, state) =>
    record(KIND.LEG, sessionId, string(callId), Buffer.from(state));

/* The records of one batch, as { kind, body }. */
function parseBatch(batch) {
    const records = [];
    for (let at = 0; at < batch.length; ) {
        const length = batch.readUInt32LE(at);
        records.push({ kind: batch[at + 4], body: batch.subarray(at + 5, at + 5 + length) });
        at += 5 + length;
    }
    return records;
}

export class LinkPeer {
    /* Dials a broker's slot as a gateway would. */
    static async dial(path) {
        const socket = net.connect(path);
        await new Promise((resolve, reject) => {
            socket.once('connect', resolve);
            socket.once('error', reject);
        });
        return new LinkPeer(socket);
    }

    constructor(socket, header = SP_HEADER) {
        this.socket = socket;
        this.bytes = Buffer.alloc(0);
        this.hasHeader = false;
        this.records = [];
        this.wake = () => {};
        socket.on('error', () => {});
        socket.on('data', (chunk) => this.#onData(chunk));
        this.ended = new Promise((resolve) => socket.once('close', resolve));
        this.isOver = false;
        this.ended.then(() => {
            this.isOver = true;
            this.wake();
        });
        socket.write(header);
    }

    #onData(chunk) {
        this.bytes = Buffer.concat([this.bytes, chunk]);
        if (!this.hasHeader && this.bytes.length >= SP_HEADER.length) {
            this.hasHeader = true;
            this.bytes = this.bytes.subarray(SP_HEADER.length);
        }
        while (this.hasHeader && this.bytes.length >= MESSAGE_HEAD_BYTES) {
            const end = MESSAGE_HEAD_BYTES + Number(this.bytes.readBigUInt64BE(1));
            if (this.bytes.length < end) {
                break;
            }
            this.records.push(...parseBatch(this.bytes.subarray(MESSAGE_HEAD_BYTES, end)));
            this.bytes = this.bytes.subarray(end);
        }
        this.wake();
    }

    /* One nng message; `length` is announced instead of the right one. */
    send(batch, length = batch.length) {
        const head = Buffer.alloc(MESSAGE_HEAD_BYTES);
        head[0] = 1;
        head.writeBigUInt64BE(BigInt(length), 1);
        this.socket.write(Buffer.concat([head, batch]));
    }

    /* The next record of that kind; those before it are dropped. */
    async next(kind) {
        const deadline = setTimeout(() => this.socket.destroy(), PATIENCE_MS);
        for (;;) {
            const found = this.records.shift();
            if (found?.kind === kind) {
                clearTimeout(deadline);
                return found;
            }
            if (found === undefined && this.isOver) {
                clearTimeout(deadline);
                throw new Error(`the link ended, or time is over, without a record ${kind}`);
            }
            if (found === undefined) {
                await new Promise((resolve) => (this.wake = resolve));
            }
        }
    }

    close() {
        this.socket.destroy();
    }
}

/* A broker made by hand on one slot: hands out a LinkPeer for each connection of the gateway. */
export class FakeBroker {
    static async listen(path) {
        const broker = new FakeBroker();
        broker.server.listen(path);
        await new Promise((resolve) => broker.server.once('listening', resolve));
        return broker;
    }

    constructor() {
        this.peers = [];
        this.wake = () => {};
        this.server = net.createServer((socket) => {
            this.peers.push(new LinkPeer(socket));
            this.wake();
        });
    }

    /* The gateway's next connection. */
    async accept() {
        while (this.peers.length === 0) {
            await new Promise((resolve) => (this.wake = resolve));
        }
        return this.peers.shift();
    }

    /* The same, greeted. */
    async acceptAndGreet() {
        const peer = await this.accept();
        await peer.next(KIND.HELLO);
        peer.send(welcome());
        return peer;
    }

    close() {
        this.peers.forEach((peer) => peer.close());
        this.server.close();
    }
}
