/* Connections that do not behave, by the thousand. */
import { once } from 'node:events';
import net from 'node:net';

import { handshake } from '../e2e/raw.mjs';

const CONNECTING_MAX = 200;
/* Each address of the loopback has 28,000 ports of its own. */
const SOURCES = 8;

/* Opens a plain connection and remembers what comes back: `status` of the response, `isOver`. It
 * reads no more than that. */
export class Attacker {
    constructor(port, number) {
        this.status = null;
        this.isOver = false;
        const localAddress = `127.0.0.${1 + (number % SOURCES)}`;
        this.socket = net.connect({ port, host: '127.0.0.1', localAddress });
        this.socket.on('error', () => {}); /* what follows is `close` */
        this.socket.once('close', () => (this.isOver = true));
        this.socket.once('end', () => this.socket.destroy());
    }

    /* Resolves when the kernel has connected it, or will not. */
    async settled() {
        await Promise.race([once(this.socket, 'connect'), once(this.socket, 'close')]).catch(
            () => {},
        );
    }

    /* Sends a valid handshake, and waits for the first bytes of the answer unless it is not wanted. */
    handshake(userId, isHeard = true) {
        this.socket.write(handshake({ target: `/?userId=${userId}` }));
        if (isHeard) {
            this.socket.once('data', (bytes) => {
                this.status = Number(bytes.toString('latin1', 9, 12));
                this.socket.pause();
            });
        }
    }

    write(bytes) {
        this.socket.write(bytes);
    }

    reset() {
        this.socket.resetAndDestroy();
    }
}

/* `count` of them, connected a few at a time; `greet(attacker, i)` says what each sends. */
export async function openAttackers(port, count, greet) {
    const attackers = [];
    for (let i = 0; i < count; i += CONNECTING_MAX) {
        const some = [...Array(Math.min(CONNECTING_MAX, count - i)).keys()].map((k) => {
            const attacker = new Attacker(port, i + k);
            greet(attacker, i + k);
            return attacker;
        });
        attackers.push(...some);
        await Promise.all(some.map((attacker) => attacker.settled()));
    }
    return attackers;
}
