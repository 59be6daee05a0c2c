/* The load, in a process of its own so that neither the injection of faults nor what watches them
 * disturbs it: pairs of clients that send to one another at a steady rate, open-loop, that is,
 * whether or not the server keeps up. The parent asks over the IPC channel; see load.mjs. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { eventually, now, pass } from './clock.mjs';
import { Latencies } from './latencies.mjs';
import { Ledger, OUTCOME_PATIENCE_MS } from './ledger.mjs';
import { LoadClient } from './load_client.mjs';

const TICK_MS = 4;
const SWEEP_MS = 1000;
/* What we could not send in time because we ourselves stood still is left out beyond this. */
const CATCH_UP_MAX_MS = 500;
const CONNECTING_MAX = 50;

class LoadProcess {
    constructor() {
        this.clients = [];
        this.latencies = new Latencies();
        this.apartFrom = new Set(); /* gateways */
        this.frozen = new Set();
        this.counts = { dropped: {}, refused: {}, connected: 0, notSent: 0 };
        this.due = 0;
        this.resetTimer = null;
        this.delay = monitorEventLoopDelay({ resolution: 2 });
    }

    /* Connects everybody, then begins to send. */
    async start({ url, clients, rate, payloadBytes, codes }) {
        this.rate = rate;
        this.ledger = new Ledger(codes);
        const payload = 'abcdefgh'.repeat(Math.ceil(payloadBytes / 8)).slice(0, payloadBytes);
        for (let i = 0; i < clients; i++) {
            this.clients.push(
                new LoadClient({
                    url,
                    userId: `user-${i}`,
                    deviceId: 'phone',
                    payload,
                    ledger: this.ledger,
                    events: this,
                }),
            );
        }
        /* Partners stand half a list apart: a pair is as likely to share a gateway as not. */
        this.clients.forEach((client, i) => {
            client.partner = this.clients[(i + clients / 2) % clients];
        });
        for (let i = 0; i < clients; i += CONNECTING_MAX) {
            const some = this.clients.slice(i, i + CONNECTING_MAX);
            some.forEach((client) => client.connect());
            const areIn = () => some.every((client) => client.isConnected);
            await eventually('the load connects', areIn, { pauseMs: 5 });
        }
        this.delay.enable();
        this.lastTick = now();
        this.next = 0;
        this.ticker = setInterval(() => this.#tick(), TICK_MS);
        this.sweeper = setInterval(() => this.ledger.sweep(), SWEEP_MS);
    }

    #tick() {
        const at = now();
        this.due += (Math.min(at - this.lastTick, CATCH_UP_MAX_MS) * this.rate) / 1000;
        this.lastTick = at;
        for (; this.due >= 1; this.due--) {
            const client = this.clients[this.next++ % this.clients.length];
            this.counts.notSent += client.send() ? 0 : 1;
        }
    }

    onConnected(connection) {
        this.counts.connected++;
        connection.isApart = !this.apartFrom.has(connection.gateway);
        connection.isFrozen = this.frozen.has(connection.gateway);
    }

    onDropped(code) {
        this.counts.dropped[code] = (this.counts.dropped[code] ?? 0) + 1;
    }

    onRefused(why) {
        this.counts.refused[why] = (this.counts.refused[why] ?? 0) + 1;
    }

    onReceived(connection, record) {
        const isApart = connection.isApart && record.connection.isApart;
        this.latencies.add(record.sentAt, now(), isApart);
    }

    #connectionsOf(gateway) {
        const all = this.clients.map(({ connection }) => connection);
        return all.filter((connection) => connection?.gateway === gateway);
    }

    /* From now on its messages do not count as "apart". */
    setApart({ gateway }) {
        this.apartFrom.add(gateway);
        this.#connectionsOf(gateway).forEach((connection) => (connection.isApart = false));
    }

    /* While a gateway stands still it has read nothing: the time of what its clients have sent
     * begins when it goes on. */
    freeze({ gateway }) {
        this.frozen.add(gateway);
        this.#connectionsOf(gateway).forEach((connection) => (connection.isFrozen = true));
    }

    thaw({ gateway }) {
        this.frozen.delete(gateway);
        this.#connectionsOf(gateway).forEach((connection) => {
            connection.isFrozen = false;
            connection.thawedAt = now();
        });
    }

    /* Every client is connected again; after at most `patienceMs`. */
    async allConnected({ patienceMs }) {
        const areIn = () => this.clients.every((client) => client.isConnected);
        await eventually('all clients are back', areIn, { patienceMs, pauseMs: 5 });
    }

    startResets({ everyMs }) {
        this.resetTimer = setInterval(() => {
            const connected = this.clients.filter((client) => client.isConnected);
            connected[Math.floor(Math.random() * connected.length)]?.reset();
        }, everyMs);
    }

    stopResets() {
        clearInterval(this.resetTimer);
    }

    latency(range) {
        return this.latencies.summary(range);
    }

    latencyOutside({ windows }) {
        return this.latencies.summaryOutside(windows);
    }

    longestGap(range) {
        return this.latencies.longestGap(range);
    }

    #result() {
        const { ledger } = this;
        const stallMs = this.delay.max / 1e6;
        const { errors, violations } = ledger;
        return { ...ledger.counts, ...this.counts, errors, violations, stallMs };
    }

    /* Sends no more, waits for what is under way, closes. */
    async finish() {
        clearInterval(this.ticker);
        this.stopResets();
        this.delay.disable();
        const deadline = now() + OUTCOME_PATIENCE_MS;
        while (!this.ledger.isSettled && now() < deadline) {
            await pass(50);
        }
        clearInterval(this.sweeper);
        this.ledger.sweep(true);
        const result = this.#result();
        await Promise.all(this.clients.map((client) => client.stop()));
        return result;
    }
}

const load = new LoadProcess();
process.on('SIGINT', () => {}); /* the parent ends us, after it has cleaned up */
process.on('disconnect', () => process.exit(0));
process.on('message', async ({ id, command, args }) => {
    try {
        process.send({ id, result: await load[command](args) });
    } catch (error) {
        process.send({ id, error: error.message });
    }
});
