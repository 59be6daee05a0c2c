/* Devices that take part in calls, over a client library that is not ours, and what they hear. */
import assert from 'node:assert/strict';

let number = 0;

/* A name that nobody has had before. */
export function fresh(name) {
    return `${name}-${++number}`;
}

/* What the server says itself, member by member. */
export function said(type, from, callId, reason) {
    return { type: `call-${type}`, from, callId, reason, server: true };
}

/* One connection of one device. What it hears waits in `client.inbox` until it is asked for. */
export class Device {
    static async connect(set, slot, userId, deviceId) {
        const client = await set.connect(slot, userId, { deviceId, protocol: true });
        const device = new Device(set, client, userId, deviceId);
        await client.nextOf('welcome');
        return device;
    }

    constructor(set, client, userId, deviceId) {
        this.set = set;
        this.client = client;
        this.userId = userId;
        this.deviceId = deviceId;
    }

    /* Sends and does not wait; answers the `id` that it gave the message. */
    send(type, to, callId, more = {}) {
        const id = more.id ?? fresh('m');
        const { id: _, ...others } = more;
        this.client.send({ type: `call-${type}`, to, callId, id, ...others });
        return id;
    }

    /* What became of a message: the ack, or the error. */
    async outcomeOf(id) {
        return this.client.next(
            (data) => data.id === id && (data.type === 'ack' || data.type === 'error'),
        );
    }

    /* Sends, and waits for what becomes of it: 'ack', or the error's code. */
    async says(type, to, callId, more = {}) {
        const outcome = await this.outcomeOf(this.send(type, to, callId, more));
        return outcome.code ?? outcome.type;
    }

    /* The same, and it must be so. */
    async does(type, to, callId, more = {}) {
        assert.equal(await this.says(type, to, callId, more), 'ack', `${this.userId}: ${type}`);
    }

    /* Sends, and waits for the error. */
    async fails(type, to, callId, more = {}) {
        const error = await this.outcomeOf(this.send(type, to, callId, more));
        assert.equal(error.type, 'error', `${this.userId}: ${type}`);
        return error;
    }

    /* The next message of that type, and of that call if it is given. */
    async hears(type, callId) {
        return this.client.next(
            (data) => data.type === `call-${type}` && (callId ?? data.callId) === data.callId,
        );
    }

    /* The types of all call messages that have come and were not asked for, in their order; what
     * the server had sent before is among them. They are taken. */
    async rest() {
        await this.settle();
        return this.client.inbox.splice(0).map(({ data }) => data.code ?? data.type);
    }

    async hearsNothingMore() {
        assert.deepEqual(await this.rest(), [], `${this.userId}, ${this.deviceId}`);
    }

    /* Everything that the broker had sent to this device before is in the inbox then; no other
     * device hears of it. */
    async settle() {
        const id = fresh('settle');
        this.client.send({ type: 'call-ringing', to: 'nobody-by-that-name', id });
        assert.equal((await this.outcomeOf(id)).code, 'user-offline');
    }

    /* Away, in good order: what was handed to this connection has been read. */
    async goAway() {
        await this.client.close();
    }

    /* Back under the same names, wherever that is. */
    async comeBack(slot) {
        return Device.connect(this.set, slot, this.userId, this.deviceId);
    }

    leave() {
        this.client.terminate();
    }
}

/* Alice with one device, and bob with a phone and a laptop, on gateways of their own (as far as
 * there are so many), all under names that nobody has had. */
export async function cast(set) {
    const alice = fresh('alice');
    const bob = fresh('bob');
    const slot = (wanted) => wanted % set.gateways.length;
    const devices = await Promise.all([
        Device.connect(set, slot(0), alice, 'desk'),
        Device.connect(set, slot(1), bob, 'phone'),
        Device.connect(set, slot(2), bob, 'laptop'),
    ]);
    const [desk, phone, laptop] = devices;
    return { alice, bob, desk, phone, laptop, devices, callId: fresh('call') };
}

/* The same, and alice's call has reached both of bob's devices. */
export async function calling(set) {
    const all = await cast(set);
    await all.desk.does('start', all.bob, all.callId);
    await all.phone.hears('start');
    await all.laptop.hears('start');
    return all;
}

/* The same, and bob's phone has told that it rings. */
export async function ringing(set) {
    const all = await calling(set);
    await all.phone.does('ringing', all.alice, all.callId);
    await all.desk.hears('ringing');
    return all;
}

/* The same, and it has accepted. */
export async function answered(set) {
    const all = await calling(set);
    await all.phone.does('accept', all.alice, all.callId);
    await all.desk.hears('accept');
    await all.laptop.hears('cancel');
    return all;
}

/* They go, and whoever is left of the calls with them. */
export function leaveAll({ devices }) {
    devices.forEach((device) => device.leave());
}
