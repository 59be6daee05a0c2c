/* The servers under test: how each is started afresh, and by which processes it is known. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { descriptorCount } from '../chaos/processes.mjs';
import { Program, startSet } from '../e2e/harness.mjs';
import { YARDSTICK } from './statistics.mjs';

const LISTENING = /listening.*?127\.0\.0\.1:(\d+)/;

/* A server that is up: `targets` are its HOST:PORTs, `pids` all of its processes; `guests` are
 * programs that hold connections to it and end with it; `set` is there for Switchboard only. */
class Server {
    #end;

    constructor(name, { ports, pids, stop, set = null }) {
        this.name = name;
        this.set = set;
        this.guests = [];
        this.dialect = SERVERS[name].dialect;
        this.targets = ports.map((port) => `127.0.0.1:${port}`);
        this.pids = pids;
        this.#end = stop;
        this.ownDescriptors = this.#descriptors();
    }

    #descriptors() {
        return this.pids.reduce((sum, pid) => sum + descriptorCount(pid), 0);
    }

    /* How many connections it has, by the descriptors that it did not have at its start. */
    connections() {
        return this.#descriptors() - this.ownDescriptors;
    }

    /* Ends those programs. */
    async dismiss() {
        const guests = this.guests.splice(0);
        guests.forEach((guest) => guest.signal('SIGTERM'));
        await Promise.all(guests.map((guest) => guest.ended));
    }

    async stop() {
        await this.dismiss();
        await this.#end();
    }
}

async function startSwitchboard({ gateways = 2, samePort = true } = {}) {
    const set = await startSet({ gateways, samePort });
    const ports = samePort ? [set.port(0)] : set.ports;
    const pids = [set.broker, ...set.gateways].map(({ pid }) => pid);
    return { ports, pids, set, stop: () => set.stop() };
}

async function startProgram(program) {
    const [, port] = await program.waitFor(LISTENING);
    return { ports: [Number(port)], pids: [program.pid], stop: () => program.stop() };
}

function startYardstick() {
    return startProgram(new Program('switchboard-yardstick', { listen: '127.0.0.1:0' }));
}

function startPeer(file) {
    const path = fileURLToPath(new URL(`peers/${file}`, import.meta.url));
    return startProgram(new Program(file, {}, { command: [process.execPath, path] }));
}

function versionOf(module) {
    const path = new URL(`node_modules/${module}/package.json`, import.meta.url);
    return JSON.parse(readFileSync(path, 'utf8')).version;
}

function isThere(module) {
    try {
        createRequire(import.meta.url).resolve(module);
        return true;
    } catch {
        return false;
    }
}

const SERVERS = {
    [YARDSTICK]: { title: 'yardstick', dialect: 'yardstick', start: startYardstick },
    switchboard: { title: 'Switchboard', dialect: 'switchboard', start: startSwitchboard },
    ws: {
        title: 'ws and a Map',
        dialect: 'ws-map',
        module: 'ws',
        start: () => startPeer('ws_map.mjs'),
    },
    peerjs: {
        title: 'PeerJS server',
        dialect: 'peerjs',
        module: 'peer',
        start: () => startPeer('peerjs.mjs'),
    },
    uws: {
        title: 'uWebSockets.js',
        dialect: 'uws',
        module: 'uWebSockets.js',
        missing: 'it is not in the npm registry; put into tests/bench/node_modules it is measured',
        start: () => startPeer('uws.mjs'),
    },
};

export function titleOf(name) {
    return SERVERS[name].title;
}

/* { [server]: version } of those that come from elsewhere. */
export function versionsOf(names) {
    const foreign = names.filter((name) => SERVERS[name].module);
    return Object.fromEntries(foreign.map((name) => [name, versionOf(SERVERS[name].module)]));
}

/* The peers whose module is there; and of the others why not. */
export function findPeers() {
    const peers = Object.keys(SERVERS).filter((name) => SERVERS[name].module);
    const found = peers.filter((name) => isThere(SERVERS[name].module));
    const missing = peers
        .filter((name) => !found.includes(name))
        .map((name) => `${titleOf(name)} is left out: ${SERVERS[name].missing ?? 'not installed'}`);
    return { found, missing };
}

/* For Switchboard, `gateways` and whether they share a port; the others are one process. */
export async function startServer(name, options) {
    return new Server(name, await SERVERS[name].start(options));
}
