/* A WebSocket client over npm's ws, whose messages can be awaited one by one. */
import WebSocket from 'ws';

const PATIENCE_MS = 20000;

export { WebSocket };
export const PROTOCOL = 'switchboard.v1';

/* A handshake that was answered with something other than 101. */
export class Refused extends Error {
    constructor(response, body) {
        super(`handshake refused: ${response.statusCode} ${body}`);
        this.status = response.statusCode;
        this.headers = response.headers;
        this.body = body;
    }
}

async function readAll(stream) {
    const chunks = [];
    for await (const chunk of stream) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
}

function describe(message) {
    const text = message.text.length > 200 ? `${message.text.slice(0, 200)}...` : message.text;
    return `    ${text}`;
}

export class Client {
    /* Resolves when the handshake has succeeded; rejects with Refused if it has not. `protocol`:
     * true offers switchboard.v1. Further options go to ws. */
    static async connect(base, { userId, deviceId, protocol = false, path = '/', ...options }) {
        const query = new URLSearchParams();
        if (userId !== undefined) {
            query.set('userId', userId);
        }
        if (deviceId !== undefined) {
            query.set('deviceId', deviceId);
        }
        /* URLSearchParams writes a space as a plus, which the server takes for a plus. */
        const target = `${base}${path}?${query.toString().replaceAll('+', '%20')}`;
        const socket = new WebSocket(target, protocol ? [PROTOCOL] : [], {
            perMessageDeflate: false,
            ...options,
        });
        const client = new Client(socket, userId);
        await new Promise((resolve, reject) => {
            socket.once('open', resolve);
            socket.once('error', reject);
            socket.once('unexpected-response', (_, response) => {
                readAll(response).then((body) => reject(new Refused(response, body)), reject);
            });
        });
        return client;
    }

    constructor(socket, userId) {
        this.socket = socket;
        this.userId = userId;
        this.inbox = [];
        this.waiters = [];
        this.pings = 0;
        socket.on('error', () => {}); /* what follows is `close` */
        socket.on('ping', () => this.pings++);
        socket.on('message', (bytes) => this.#onMessage(bytes.toString()));
        /* Resolves when the connection is over, with its close code. */
        this.ended = new Promise((resolve) => {
            socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
        });
        this.ended.then(({ code }) => {
            this.waiters.forEach((waiter) => waiter.fail(`closed with ${code}`));
        });
    }

    #onMessage(text) {
        const message = { text, data: JSON.parse(text) };
        const index = this.waiters.findIndex((each) => each.wants(message.data));
        if (index < 0) {
            this.inbox.push(message);
        } else {
            this.waiters.splice(index, 1)[0].take(message);
        }
    }

    /* The earliest message not yet taken that `wants` accepts, as { text, data }; waits for it. */
    async nextMessage(wants = () => true) {
        const index = this.inbox.findIndex((message) => wants(message.data));
        if (index >= 0) {
            return this.inbox.splice(index, 1)[0];
        }
        let waiter;
        let timer;
        const taken = new Promise((resolve, reject) => {
            const fail = (why) => {
                const inbox = this.inbox.slice(0, 10).map(describe).join('\n');
                reject(new Error(`${this.userId}: ${why} while waiting; not taken:\n${inbox}`));
            };
            if (this.socket.readyState === WebSocket.CLOSED) {
                fail('closed');
            }
            timer = setTimeout(() => fail('time is over'), PATIENCE_MS);
            waiter = { wants, take: resolve, fail };
            this.waiters.push(waiter);
        });
        return taken.finally(() => {
            this.waiters = this.waiters.filter((each) => each !== waiter);
            clearTimeout(timer);
        });
    }

    /* The same, as an object. */
    async next(wants) {
        return (await this.nextMessage(wants)).data;
    }

    /* The next message of that type. */
    async nextOf(type) {
        return this.next((data) => data.type === type);
    }

    /* An object is sent as JSON, a string or buffer as it is. */
    send(message) {
        const isText = typeof message === 'string' || Buffer.isBuffer(message);
        this.socket.send(isText ? message : JSON.stringify(message), { binary: false });
    }

    /* Sends a message to ourselves and waits for it: everything that the server had sent us before
     * is in the inbox then. */
    async fence() {
        const tag = `fence-${Math.random()}`;
        this.send({ type: 'call-ringing', to: this.userId, tag });
        await this.next((data) => data.tag === tag);
    }

    /* Closes in good order and waits for the end. */
    async close(code = 1000) {
        this.socket.close(code);
        return this.ended;
    }

    terminate() {
        this.socket.terminate();
    }
}
