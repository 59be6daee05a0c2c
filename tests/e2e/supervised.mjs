/* Sets as an operator runs them: the scripts, and the processes that scripts/run leaves running. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';

import { binDir, cleanEnvironment, root } from './environment.mjs';

export function environment() {
    return { ...cleanEnvironment(), SWITCHBOARD_BIN_DIR: binDir };
}

/* Runs a script to its end, from a folder that is not the checkout. */
export async function script(name, ...args) {
    return scriptWith({}, name, ...args);
}

/* The same, with these variables besides. */
export async function scriptWith(variables, name, ...args) {
    return new Promise((resolve) => {
        const options = { env: { ...environment(), ...variables }, cwd: '/' };
        execFile(join(root, 'scripts', name), args, options, (error, stdout, stderr) => {
            resolve({ status: error ? error.code : 0, output: stdout + stderr });
        });
    });
}

export async function freePort() {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}

/* The pids of the set in `dir` whose program is called so. */
export function pidsOf(dir, program) {
    return readdirSync('/proc')
        .filter((entry) => /^\d+$/.test(entry))
        .filter((pid) => {
            try {
                const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
                const [command] = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
                return (
                    variables.includes(`SWITCHBOARD_RUN_DIR=${dir}`) && command.endsWith(program)
                );
            } catch {
                return false; /* it has ended meanwhile */
            }
        })
        .map(Number);
}

/* The state of one of the gateways that share the port; null while none answers. */
export async function health(url) {
    try {
        const response = await fetch(`${url}/healthz`);
        return { ok: response.ok, ...(await response.json()) };
    } catch {
        return null;
    }
}

/* Asks again until `isGood`: a supervisor tells nobody when it has restarted something. */
export async function eventually(what, isGood) {
    const deadline = Date.now() + 30000;
    while (!(await isGood())) {
        assert.ok(Date.now() < deadline, `time is over: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}
