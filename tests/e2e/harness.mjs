/* Real sets of processes for the suites: a broker and its gateways, each set in a directory of its
 * own, on free ports of the loopback. Whatever a suite starts here ends with it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Client } from './client.mjs';
import { binDir, cleanEnvironment, root } from './environment.mjs';
import { Raw } from './raw.mjs';

export { Client, Refused } from './client.mjs';
export { binDir, cleanEnvironment, root } from './environment.mjs';
export { Raw, OPCODE, closePayload, frame, handshake, plainRequest } from './raw.mjs';

/* How long anything awaited may take: generous, since it is spent only by a test that fails. */
export const PATIENCE_MS = 20000;
const REPORT = /Sanitizer|runtime error:|Assertion .* failed/;

const running = new Set();
const dirs = new Set();
process.on('exit', () => {
    running.forEach((child) => child.kill('SIGKILL'));
    dirs.forEach((dir) => rmSync(dir, { recursive: true, force: true }));
});
process.once('SIGTERM', () => process.exit(1));
process.once('SIGINT', () => process.exit(1));

export function makeDir() {
    const dir = mkdtempSync(join(tmpdir(), 'sb-'));
    dirs.add(dir);
    return dir;
}

export function removeDir(dir) {
    rmSync(dir, { recursive: true, force: true });
    dirs.delete(dir);
}

/* `true` is a flag without a value; a list is a flag given several times. */
function flagArguments(flags) {
    return Object.entries(flags).flatMap(([name, values]) =>
        [values].flat().flatMap((value) => (value === true ? [`--${name}`] : [`--${name}`, value])),
    );
}

/* One program under test: its log lines, its end. `command`: how it is called, when it is none of
 * ours; `output`: what becomes of its standard output, as in `stdio` of spawn(). */
export class Program {
    constructor(name, flags, { command = [join(binDir, name)], output = 'inherit' } = {}) {
        const [file, ...words] = command;
        this.name = name;
        this.lines = [];
        this.isKilled = false;
        this.waiters = new Set();
        this.child = spawn(file, [...words, ...flagArguments(flags)].map(String), {
            stdio: ['ignore', output, 'pipe'],
            env: cleanEnvironment(),
        });
        running.add(this.child);
        createInterface({ input: this.child.stderr }).on('line', (line) => this.#onLine(line));
        /* `close`, not `exit`: by then its last words have been read. */
        this.ended = new Promise((resolve, reject) => {
            this.child.once('error', reject);
            this.child.once('close', (status, signal) => resolve({ status, signal }));
        });
        this.ended.finally(() => running.delete(this.child)).catch(() => {});
    }

    #onLine(line) {
        this.lines.push(line);
        this.waiters.forEach((look) => look());
    }

    get pid() {
        return this.child.pid;
    }

    get isRunning() {
        return this.child.exitCode === null && this.child.signalCode === null;
    }

    /* A place in the log; waitFor then looks behind it only. */
    mark() {
        return this.lines.length;
    }

    /* The match of the first log line behind `mark` that `pattern` fits; waits for it. */
    async waitFor(pattern, mark = 0) {
        let look;
        let timer;
        const found = new Promise((resolve, reject) => {
            look = () => {
                const line = this.lines.slice(mark).find((each) => pattern.test(each));
                if (line !== undefined) {
                    resolve(line.match(pattern));
                }
            };
            const fail = (why) =>
                reject(new Error(`${this.name}: ${why}: no ${pattern} in\n${this.log()}`));
            timer = setTimeout(() => fail('time is over'), PATIENCE_MS);
            this.ended.then(
                () => fail('it has ended'),
                (error) => fail(error.message),
            );
        });
        this.waiters.add(look);
        look();
        return found.finally(() => {
            this.waiters.delete(look);
            clearTimeout(timer);
        });
    }

    log() {
        return this.lines.slice(-40).join('\n');
    }

    signal(name) {
        this.child.kill(name);
    }

    /* Ends it at once, as a crash would. */
    async kill() {
        this.isKilled = true;
        this.child.kill('SIGKILL');
        await this.ended;
    }

    /* Ends it as an operator would, and checks that it ends well. */
    async stop(signal = 'SIGTERM') {
        if (!this.isKilled) {
            assert.ok(this.isRunning, `${this.name} ended by itself:\n${this.log()}`);
            this.child.kill('SIGCONT');
            this.child.kill(signal);
            const { status } = await this.ended;
            assert.equal(status, 0, `${this.name} ended with ${status}:\n${this.log()}`);
        }
        const report = this.lines.findIndex((line) => REPORT.test(line));
        assert.equal(report, -1, `${this.name}:\n${this.lines.slice(report).join('\n')}`);
    }
}

class ServerSet {
    constructor({ gateways = 1, samePort = false, flags = {}, brokerFlags = {} }) {
        this.dir = makeDir();
        this.linkDir = join(this.dir, 'link');
        this.count = gateways;
        this.samePort = samePort;
        this.flags = flags;
        this.brokerFlags = brokerFlags;
        this.broker = null;
        this.gateways = []; /* Program, by slot */
        this.ports = [];
        this.past = []; /* programs that were killed or stopped before */
        this.peers = new Set();
    }

    async startBroker() {
        this.#retire(this.broker);
        this.broker = new Program('switchboard-broker', {
            'link-dir': this.linkDir,
            gateways: this.count,
            ...this.brokerFlags,
        });
        await this.broker.waitFor(/^info ready/);
    }

    /* Starts it, or starts it again on the port it had; waits until it listens. */
    async startGateway(slot = 0) {
        this.#retire(this.gateways[slot]);
        const port = this.ports[slot] ?? (this.samePort ? this.ports[0] : 0) ?? 0;
        const gateway = new Program('switchboard-gateway', {
            'link-dir': this.linkDir,
            slot,
            listen: `127.0.0.1:${port}`,
            'static-dir': join(root, 'static'),
            ...this.flags,
        });
        this.gateways[slot] = gateway;
        const [, found] = await gateway.waitFor(/^info listening address=127\.0\.0\.1:(\d+)/);
        this.ports[slot] = Number(found);
    }

    #retire(program) {
        if (program) {
            this.past.push(program);
        }
    }

    async linked(slot = 0, mark = 0) {
        await this.gateways[slot].waitFor(/^info link-up/, mark);
    }

    port(slot = 0) {
        return this.ports[slot];
    }

    httpUrl(slot = 0) {
        return `http://127.0.0.1:${this.port(slot)}`;
    }

    wsUrl(slot = 0) {
        return `ws://127.0.0.1:${this.port(slot)}`;
    }

    /* A WebSocket client; see client.mjs for the options. */
    async connect(slot, userId, options = {}) {
        const client = await Client.connect(this.wsUrl(slot), { userId, ...options });
        return this.#track(client);
    }

    /* A plain TCP connection. */
    async raw(slot = 0) {
        return this.#track(await Raw.connect(this.port(slot)));
    }

    #track(peer) {
        this.peers.add(peer);
        peer.ended.then(() => this.peers.delete(peer));
        return peer;
    }

    /* Ends all, and checks that every process ended well and without a sanitizer's report. */
    async stop() {
        this.peers.forEach((peer) => peer.terminate());
        try {
            const stops = this.gateways.map((gateway) => gateway.stop());
            const failures = (await Promise.allSettled(stops)).filter((stop) => stop.reason);
            await this.broker?.stop();
            await Promise.all(this.past.filter((program) => program.isKilled).map((p) => p.stop()));
            if (failures.length > 0) {
                throw failures[0].reason;
            }
        } finally {
            removeDir(this.dir);
        }
    }
}

/* A set that is up: broker and gateways run and are linked. `flags` go to every gateway. With
 * `samePort` all gateways share one port, as in production; else each has its own. */
export async function startSet(options = {}) {
    const set = newSet(options);
    await set.startBroker();
    for (let slot = 0; slot < set.count; slot++) {
        await set.startGateway(slot);
    }
    await Promise.all(set.gateways.map((_, slot) => set.linked(slot)));
    return set;
}

/* A set of which nothing has been started yet. */
export function newSet(options = {}) {
    return new ServerSet(options);
}
