/* A plain TCP connection to a gateway, and the bytes of handshakes and frames: for everything that
 * a well-behaved client library would never send. */
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';

const PATIENCE_MS = 20000;

export const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = createHash('sha1')
    .update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');

const HEADERS = {
    Host: '127.0.0.1',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': KEY,
    'Sec-WebSocket-Version': '13',
};

/* A request head. `headers` change the valid handshake's: null leaves one out, an array repeats
 * it, other names are added. */
export function handshake({
    method = 'GET',
    target = '/?userId=alice',
    version = 'HTTP/1.1',
    headers = {},
    eol = '\r\n',
    base = HEADERS,
} = {}) {
    const lines = [`${method} ${target} ${version}`];
    for (const [name, value] of Object.entries({ ...base, ...headers })) {
        for (const each of value === null ? [] : [value].flat()) {
            lines.push(`${name}: ${each}`);
        }
    }
    return lines.join(eol) + eol + eol;
}

/* A request that asks for no upgrade. */
export function plainRequest({ method = 'GET', target = '/', headers = {}, ...rest } = {}) {
    return handshake({ method, target, headers, base: { Host: '127.0.0.1' }, ...rest });
}

function lengthField(length) {
    if (length < 126) {
        return Buffer.from([length]);
    }
    const field = Buffer.alloc(length < 65536 ? 3 : 9);
    if (length < 65536) {
        field[0] = 126;
        field.writeUInt16BE(length, 1);
    } else {
        field[0] = 127;
        field.writeBigUInt64BE(BigInt(length), 1);
    }
    return field;
}

/* A frame's bytes. `lengthBytes`: the length field as it is to be, instead of the right one. */
export function frame({
    opcode = OPCODE.TEXT,
    payload = '',
    isFinal = true,
    rsv = 0,
    isMasked = true,
    lengthBytes,
} = {}) {
    const body = Buffer.from(payload);
    const length = Buffer.from(lengthBytes ?? lengthField(body.length));
    const head = Buffer.concat([Buffer.from([(isFinal ? 0x80 : 0) | (rsv << 4) | opcode]), length]);
    if (!isMasked) {
        return Buffer.concat([head, body]);
    }
    head[1] |= 0x80;
    const mask = randomBytes(4);
    return Buffer.concat([head, mask, body.map((byte, i) => byte ^ mask[i % 4])]);
}

export function closePayload(code, reason = '') {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    return payload;
}

/* The frame at the front of `bytes` (a server's: not masked), or null if it is not whole. */
function parseFrame(bytes) {
    if (bytes.length < 2) {
        return null;
    }
    const short = bytes[1] & 0x7f;
    const headBytes = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    if (bytes.length < headBytes) {
        return null;
    }
    let length = short;
    if (short === 126) {
        length = bytes.readUInt16BE(2);
    } else if (short === 127) {
        length = Number(bytes.readBigUInt64BE(2));
    }
    const end = headBytes + length;
    if (bytes.length < end) {
        return null;
    }
    const opcode = bytes[0] & 0x0f;
    const payload = bytes.subarray(headBytes, end);
    const isFinal = (bytes[0] & 0x80) !== 0;
    const code = opcode === OPCODE.CLOSE && length >= 2 ? payload.readUInt16BE(0) : undefined;
    return { value: { opcode, payload, isFinal, code, text: payload.toString() }, end };
}

function parseHead(bytes) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) {
        return null;
    }
    const [first, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
    const headers = {};
    for (const line of lines) {
        const colon = line.indexOf(':');
        const name = line.slice(0, colon).toLowerCase();
        const value = line.slice(colon + 1).trim();
        headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    return { value: { status: Number(first.split(' ')[1]), headers }, end: end + 4 };
}

export class Raw {
    static async connect(port) {
        const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
        await new Promise((resolve, reject) => {
            socket.once('connect', resolve);
            socket.once('error', reject);
        });
        return new Raw(socket);
    }

    constructor(socket) {
        this.socket = socket;
        this.bytes = Buffer.alloc(0);
        this.isOver = false;
        this.wake = () => {};
        socket.on('data', (chunk) => {
            this.bytes = Buffer.concat([this.bytes, chunk]);
            this.wake();
        });
        const onOver = () => {
            this.isOver = true;
            this.wake();
        };
        socket.on('error', onOver);
        socket.on('end', onOver);
        this.ended = new Promise((resolve) => socket.once('close', resolve));
        this.ended.then(onOver);
    }

    write(bytes) {
        this.socket.write(bytes);
    }

    /* Writes one byte at a time, each in a segment of its own as far as the kernel lets it. */
    async writeSlowly(bytes) {
        for (const byte of Buffer.from(bytes)) {
            await new Promise((resolve) => this.socket.write(Buffer.from([byte]), resolve));
        }
    }

    async #until(isDone) {
        const deadline = Date.now() + PATIENCE_MS;
        while (!isDone()) {
            await new Promise((resolve, reject) => {
                const left = Math.max(deadline - Date.now(), 0);
                const timer = setTimeout(() => reject(new Error(this.#complaint())), left);
                this.wake = () => {
                    clearTimeout(timer);
                    resolve();
                };
            });
        }
    }

    #complaint() {
        return `time is over; received: ${JSON.stringify(this.bytes.toString('latin1', 0, 400))}`;
    }

    async #take(parse) {
        let parsed = null;
        await this.#until(() => {
            parsed = parse(this.bytes);
            return parsed !== null || this.isOver;
        });
        if (parsed === null) {
            throw new Error(`ended early; received: ${this.bytes.toString('latin1', 0, 400)}`);
        }
        this.bytes = this.bytes.subarray(parsed.end);
        return parsed.value;
    }

    /* A response's status and headers (names in lower case). */
    async head() {
        return this.#take(parseHead);
    }

    /* One frame: { opcode, payload, text, isFinal, code }. */
    async frame() {
        return this.#take(parseFrame);
    }

    /* All that comes until the server ends; then we end too. */
    async rest() {
        await this.#until(() => this.isOver);
        this.socket.end();
        return this.bytes;
    }

    /* A whole response that ends with its connection. */
    async response() {
        const head = await this.head();
        return { ...head, body: await this.rest() };
    }

    /* Sends a handshake and checks that it is accepted. */
    async open(options) {
        this.write(handshake(options));
        const head = await this.head();
        if (head.status !== 101) {
            throw new Error(`handshake: ${head.status}`);
        }
        return head;
    }

    send(message) {
        this.write(frame({ payload: JSON.stringify(message) }));
    }

    terminate() {
        this.socket.destroy();
    }
}
