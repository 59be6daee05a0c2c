/* The load as the scenarios see it: a process that sends verified messages, and answers questions
 * about them. Times are those of clock.mjs. */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { root } from '../e2e/environment.mjs';
import { atEnd } from './cleanup.mjs';

const program = fileURLToPath(new URL('load_process.mjs', import.meta.url));

/* The error codes that PROTOCOL.md names. */
function protocolCodes() {
    const protocol = readFileSync(join(root, 'PROTOCOL.md'), 'utf8');
    return [...protocol.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code]) => code);
}

export class Load {
    /* Resolves when all clients are connected and the messages flow. `rate`: messages a second, of
     * all clients together. */
    static async start({ url, clients = 200, rate = 5000, payloadBytes = 100 }) {
        const load = new Load();
        const codes = protocolCodes();
        await load.#ask('start', { url, clients, rate, payloadBytes, codes });
        return load;
    }

    #child = fork(program, { stdio: 'inherit' });
    #pending = new Map();
    #lastId = 0;
    #end;

    constructor() {
        this.#end = atEnd(() => this.#child.kill('SIGKILL'));
        this.#child.on('message', ({ id, result, error }) => {
            const { resolve, reject } = this.#pending.get(id);
            this.#pending.delete(id);
            if (error) {
                reject(new Error(error));
            } else {
                resolve(result);
            }
        });
        this.#child.once('exit', () => {
            const error = new Error('the load has ended by itself');
            this.#pending.forEach(({ reject }) => reject(error));
        });
    }

    async #ask(command, args = {}) {
        const id = ++this.#lastId;
        const answer = new Promise((resolve, reject) => {
            this.#pending.set(id, { resolve, reject });
        });
        this.#child.send({ id, command, args });
        return answer;
    }

    /* What was sent in [from, to): { count, p50, p99, max } in ms. `apartOnly`: between users whose
     * gateways were not set apart. */
    async latency(range) {
        return this.#ask('latency', range);
    }

    async latencyOutside(windows) {
        return this.#ask('latencyOutside', { windows });
    }

    /* The longest time without any delivery that touches [from, to): { from, to, ms }. */
    async longestGap(range) {
        return this.#ask('longestGap', range);
    }

    async setApart(gateway) {
        return this.#ask('setApart', { gateway });
    }

    async freeze(gateway) {
        return this.#ask('freeze', { gateway });
    }

    async thaw(gateway) {
        return this.#ask('thaw', { gateway });
    }

    async allConnected(patienceMs = 20000) {
        return this.#ask('allConnected', { patienceMs });
    }

    async startResets(everyMs) {
        return this.#ask('startResets', { everyMs });
    }

    async stopResets() {
        return this.#ask('stopResets');
    }

    /* Sends no more, waits for what is under way, closes; what came of it all: { sent, acked,
     * received, inDeadConnection, seenAgain, ackedInEnding, errors, violations, dropped, refused,
     * ... }. Questions are still answered. */
    async finish() {
        return this.#ask('finish');
    }

    async end() {
        await this.#end();
    }
}
