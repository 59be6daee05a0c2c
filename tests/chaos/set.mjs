/* A set under supervisord, started by scripts/run in a directory of its own, whose processes can be
 * maltreated one by one. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort, scriptWith } from '../e2e/supervised.mjs';
import { atEnd } from './cleanup.mjs';
import { eventually, now } from './clock.mjs';
import { LogTail } from './log_tail.mjs';
import { childrenOf, residentBytes } from './processes.mjs';

const BROKER = 'switchboard-bro';
const GATEWAY = 'switchboard-gat';
const REPORT = /Sanitizer|runtime error:|Assertion .* failed/;
const LAST_LINES = 12;
/* Fine enough to tell the supervisor's part of an outage from ours. */
const WATCH_PAUSE_MS = 2;

export class SupervisedSet {
    /* Resolves when every gateway serves. `dir`: a run directory; without one it gets its own.
     * `variables`: flags, as the environment gives them. */
    static async start({ gateways = 2, dir = null, variables = {} } = {}) {
        const set = new SupervisedSet(gateways, dir, await freePort());
        const args = ['--gateways', gateways, '--listen', set.listen, '--run-dir', set.dir];
        set.starting = scriptWith(variables, 'run', ...args, '--detach');
        const { status, output } = await set.starting;
        if (status !== 0) {
            throw new Error(`scripts/run: ${output}`);
        }
        set.supervisor = Number(readFileSync(join(set.dir, 'supervisord.pid'), 'utf8'));
        await set.allServe();
        return set;
    }

    constructor(gateways, dir, port) {
        this.count = gateways;
        this.ownsDir = dir === null;
        this.dir = dir ?? mkdtempSync(join(tmpdir(), 'sb-'));
        this.port = port;
        this.listen = `127.0.0.1:${port}`;
        this.url = `ws://${this.listen}`;
        this.frozen = new Set();
        this.starting = null;
        this.tails = [];
        this.stop = atEnd(() => this.#stop());
    }

    /* The pid of the broker, or of the gateway in that slot; null while there is none. */
    pidOf(place) {
        return this.#find(childrenOf(this.supervisor), place);
    }

    #find(children, place) {
        const found = children.find(({ name, words }) =>
            place === 'broker'
                ? name === BROKER
                : name === GATEWAY && words[words.indexOf('--slot') + 1] === String(place),
        );
        return found?.pid ?? null;
    }

    /* Broker first, then the gateways by slot. */
    get places() {
        return ['broker', ...Array(this.count).keys()];
    }

    pids() {
        const children = childrenOf(this.supervisor);
        return this.places.map((place) => this.#find(children, place)).filter((pid) => pid);
    }

    signal(place, name) {
        const pid = this.pidOf(place);
        process.kill(pid, name);
        if (name === 'SIGSTOP') {
            this.frozen.add(pid);
        } else if (name === 'SIGCONT') {
            this.frozen.delete(pid);
        }
        return pid;
    }

    /* When the process that follows `old` was first seen; waits for it. */
    async successorOf(place, old) {
        const look = () => {
            const pid = this.pidOf(place);
            return pid !== null && pid !== old;
        };
        await eventually(`a new ${place}`, look, { pauseMs: WATCH_PAUSE_MS });
        return now();
    }

    /* What one of the gateways says about itself; null when it does not answer. */
    async health() {
        return new Promise((resolve) => {
            const url = `http://${this.listen}/healthz`;
            const request = http.get(url, { agent: false, timeout: 1000 }, (response) => {
                let text = '';
                response.on('data', (chunk) => (text += chunk));
                response.on('end', () => resolve(JSON.parse(text)));
                response.on('error', () => resolve(null));
            });
            request.on('timeout', () => request.destroy());
            request.on('error', () => resolve(null));
        });
    }

    /* The instance of each gateway, by slot, when all of them serve; the kernel chooses whom we
     * meet, so ask until we have met everybody. */
    async allServe(patienceMs = 30000) {
        const instances = [];
        const haveMet = async () => {
            const health = await this.health();
            if (health?.status === 'ok') {
                instances[health.slot] = health.instance;
            }
            return Object.keys(instances).length === this.count;
        };
        await eventually('every gateway serves', haveMet, { patienceMs, pauseMs: 5 });
        return instances;
    }

    /* The log of a place, from now on. */
    tail(place) {
        const name = place === 'broker' ? 'broker' : `gateway-${place}`;
        const tail = new LogTail(join(this.dir, `${name}.log`));
        this.tails.push(tail);
        return tail;
    }

    /* What each process has in memory, broker first, the supervisor aside; and all together. */
    residentBytesEach() {
        return this.pids().map((pid) => residentBytes(pid));
    }

    residentBytes() {
        return this.residentBytesEach().reduce((sum, bytes) => sum + bytes, 0);
    }

    /* The last lines of each log, for whoever has to find out why. */
    lastWords() {
        const logs = readdirSync(this.dir).filter((name) => name.endsWith('.log'));
        return logs.map((name) => {
            const lines = readFileSync(join(this.dir, name), 'utf8').trimEnd().split('\n');
            return `${name}\n    ${lines.slice(-LAST_LINES).join('\n    ')}`;
        });
    }

    /* Lines of the logs that no program should ever write. */
    reports() {
        const logs = readdirSync(this.dir).filter((name) => name.endsWith('.log'));
        return logs.flatMap((name) =>
            readFileSync(join(this.dir, name), 'utf8')
                .split('\n')
                .filter((line) => REPORT.test(line)),
        );
    }

    async #stop() {
        await this.starting; /* what has not started yet cannot be stopped */
        this.tails.forEach((tail) => tail.close());
        for (const pid of this.frozen) {
            try {
                process.kill(pid, 'SIGCONT');
            } catch {
                /* it has ended meanwhile */
            }
        }
        const { status, output } = await scriptWith({}, 'stop', '--run-dir', this.dir);
        if (status !== 0) {
            throw new Error(`scripts/stop: ${output}`);
        }
        if (this.ownsDir) {
            rmSync(this.dir, { recursive: true, force: true });
        }
    }
}
