/* Sound and picture in the client library, with cameras and peer connections that a test commands.
 * What real ones make of it is in client_browser_test.mjs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
    FakeDevices,
    FakePeerConnection,
    FakeStream,
    inState,
    nextEvent,
    startWorld,
    within,
} from './client_fakes.mjs';

const OPTIONS = { timeout: 60000 };

/* alice, online, with a camera and a microphone. */
async function startAlice(t, options = {}) {
    const world = await startWorld(t);
    const devices = new FakeDevices();
    const connections = []; /* every RTCPeerConnection */
    class Recorded extends FakePeerConnection {
        constructor(configuration) {
            super(configuration);
            connections.push(this);
        }
    }
    const online = await world.goOnline({
        media: 'webrtc',
        deviceId: 'a',
        RTCPeerConnection: Recorded,
        MediaStream: FakeStream,
        getUserMedia: devices.getUserMedia,
        ...options,
    });
    return { ...world, ...online, devices, peers: connections };
}

function speakerFor(connection, callId) {
    return (type, members) =>
        connection.say({ type, from: 'bob', fromDevice: 'b', callId, ...members });
}

/* A call to bob that he has accepted, and its first offer. */
async function startOffered(t, options) {
    const world = await startAlice(t);
    const call = world.phone.call('bob', options);
    const heard = eventsOf(call);
    await world.connection.take('call-start');
    const say = speakerFor(world.connection, call.id);
    say('call-accept');
    const offer = await world.connection.take('call-offer');
    return { ...world, call, heard, say, offer, peer: world.peers[0] };
}

/* The same, when sound and picture flow. */
async function startFlowing(t, options) {
    const world = await startOffered(t, options);
    world.say('call-answer', { sdp: 'their answer', offerId: world.offer.offerId });
    await settled(world);
    world.peer.become('connected');
    assert.equal(world.call.state, 'connected');
    return world;
}

/* A call of bob's that we have accepted. */
async function startAccepted(t, { wanted, members, options, before = () => {} } = {}) {
    const world = await startAlice(t, options);
    const incoming = nextEvent(world.phone, 'incoming');
    const say = speakerFor(world.connection, 'c-1');
    say('call-start', { id: 1, video: true, ...members });
    const call = await incoming;
    const heard = eventsOf(call);
    await world.connection.take('call-ringing');
    await before({ ...world, say });
    const accepted = call.accept(wanted);
    await world.connection.take('call-accept');
    await accepted;
    return { ...world, call, heard, say, peer: world.peers[0] };
}

/* What a call has told: kinds of trouble, and streams. */
function eventsOf(call) {
    const heard = { trouble: [], sentences: [], local: [], remote: [] };
    call.on('trouble', ({ kind, sentence }) => {
        heard.trouble.push(kind);
        heard.sentences.push(sentence);
    });
    call.on('local', (stream) => heard.local.push(stream));
    call.on('remote', (stream) => heard.remote.push(stream));
    return heard;
}

/* All that was said before has been dealt with, promises included. */
async function settled({ phone, connection }) {
    const sent = phone.send({ type: 'call-candidate', to: 'alice', fence: true });
    for (;;) {
        const message = await connection.next('call-candidate');
        connection.ack(message);
        if (message.fence) {
            break;
        }
    }
    await sent;
    await new Promise(setImmediate);
}

const sendersOf = (peer) =>
    Object.fromEntries(
        peer
            .getTransceivers()
            .map(({ receiver, sender, direction }) => [
                receiver.track.kind,
                `${direction} ${sender.track ? 'live' : 'empty'}`,
            ]),
    );

describe('the caller', OPTIONS, () => {
    test('asks for camera and microphone at once, and offers once accepted', async (t) => {
        const iceServers = [{ urls: 'stun:host' }];
        const world = await startAlice(t, { iceServers });
        const call = world.phone.call('bob', { video: true });
        const stream = await nextEvent(call, 'local');
        assert.equal(call.localStream, stream);
        assert.deepEqual(world.devices.asked, ['audio+video']);
        await world.connection.take('call-start');
        assert.equal(world.peers.length, 0);
        speakerFor(world.connection, call.id)('call-accept');
        const offer = await world.connection.take('call-offer');
        assert.deepEqual([offer.sdp, offer.callId, offer.to], ['offer 1', call.id, 'bob']);
        assert.deepEqual(world.peers[0].configuration, { iceServers });
        assert.deepEqual(sendersOf(world.peers[0]), {
            audio: 'sendrecv live',
            video: 'sendrecv live',
        });
    });

    test('does not wait for a person to permit the camera', async (t) => {
        let permit;
        const devices = new FakeDevices();
        const world = await startAlice(t, {
            getUserMedia: async (constraints) => {
                await new Promise((resolve) => {
                    permit = resolve;
                });
                return devices.getUserMedia(constraints);
            },
        });
        const call = world.phone.call('bob');
        await world.connection.take('call-start');
        speakerFor(world.connection, call.id)('call-accept');
        await world.connection.take('call-offer');
        const [peer] = world.peers;
        assert.deepEqual(sendersOf(peer), { audio: 'sendrecv empty', video: 'sendrecv empty' });
        const local = nextEvent(call, 'local');
        permit();
        await local;
        assert.deepEqual(sendersOf(peer), { audio: 'sendrecv live', video: 'sendrecv live' });
        assert.deepEqual(world.connection.inbox, [], 'no second offer');
    });

    test('sends its candidates, and that there are no more', async (t) => {
        const { connection, peer, call } = await startOffered(t);
        peer.onicecandidate({ candidate: { toJSON: () => ({ candidate: 'one' }) } });
        peer.onicecandidate({ candidate: null });
        const one = await connection.take('call-candidate');
        const end = await connection.take('call-candidate');
        assert.deepEqual([one.candidate, one.callId], [{ candidate: 'one' }, call.id]);
        assert.equal(end.candidate, null);
    });

    test('holds candidates until it has the answer', async (t) => {
        const world = await startOffered(t);
        const { peer, say, offer } = world;
        say('call-candidate', { candidate: { candidate: 'one' } });
        say('call-candidate', { candidate: { candidate: 'two' } });
        await settled(world);
        assert.deepEqual(peer.candidates, []);
        say('call-answer', { sdp: 'their answer', offerId: offer.offerId });
        say('call-candidate', { candidate: null });
        await settled(world);
        assert.deepEqual(peer.remoteDescription, { type: 'answer', sdp: 'their answer' });
        assert.deepEqual(peer.candidates, [{ candidate: 'one' }, { candidate: 'two' }, null]);
    });

    test('is connected when the path is', async (t) => {
        const world = await startOffered(t);
        assert.equal(world.call.state, 'connecting');
        world.say('call-answer', { sdp: 'their answer', offerId: world.offer.offerId });
        await settled(world);
        world.peer.become('connecting');
        assert.equal(world.call.state, 'connecting');
        world.peer.become('connected');
        assert.equal(world.call.state, 'connected');
    });

    test('takes an answer only to its latest offer', async (t) => {
        const world = await startOffered(t);
        const { clock, connection, peer, say, offer } = world;
        await clock.pass(10000);
        const second = await connection.take('call-offer');
        say('call-answer', { sdp: 'late', offerId: offer.offerId });
        await settled(world);
        assert.equal(peer.remoteDescription, null);
        say('call-answer', { sdp: 'right', offerId: second.offerId });
        say('call-answer', { sdp: 'twice', offerId: second.offerId });
        await settled(world);
        assert.equal(peer.remoteDescription.sdp, 'right');
    });

    test("lets its own offer stand against the callee's", async (t) => {
        const world = await startOffered(t);
        world.say('call-offer', { sdp: 'theirs', offerId: 1 });
        await settled(world);
        assert.equal(world.peer.signalingState, 'have-local-offer');
        assert.deepEqual(world.connection.inbox, []);
    });

    test('needs no path to somebody without media, and no camera', async (t) => {
        const { phone, connection, devices, peers } = await startAlice(t);
        const call = phone.call('bob');
        await nextEvent(call, 'local');
        await connection.take('call-start');
        speakerFor(connection, call.id)('call-accept', { media: 'none' });
        await inState(call, 'connected');
        assert.deepEqual([peers.length, devices.live.length, call.localStream], [0, 0, null]);
    });

    test('is told when the peer connection cannot be made', async (t) => {
        const { phone, connection } = await startAlice(t, {
            RTCPeerConnection: class {
                constructor() {
                    throw new TypeError('bad configuration');
                }
            },
        });
        const call = phone.call('bob');
        await connection.take('call-start');
        const error = nextEvent(phone, 'error');
        speakerFor(connection, call.id)('call-accept');
        assert.equal((await error).message, 'bad configuration');
        assert.equal((await connection.take('call-end')).reason, 'media-failed');
        assert.equal(call.result, 'media-failed');
    });
});

describe('the callee', OPTIONS, () => {
    test('asks for nothing before it accepts, then answers', async (t) => {
        const world = await startAccepted(t, {
            before: ({ devices, peers }) =>
                assert.deepEqual([devices.asked.length, peers.length], [0, 0]),
        });
        const { connection, call, say, heard } = world;
        say('call-offer', { sdp: 'their offer', offerId: 7 });
        const answer = await connection.take('call-answer');
        assert.deepEqual([answer.sdp, answer.offerId], ['answer 1', 7]);
        const [peer] = world.peers;
        assert.deepEqual(sendersOf(peer), { audio: 'sendrecv live', video: 'sendrecv live' });
        assert.equal(call.remoteStream, heard.remote[0]);
        assert.equal(call.remoteStream.getTracks().length, 2);
        peer.become('connected');
        assert.equal(call.state, 'connected');
    });

    test('has the call once the path is there, whatever becomes of its accept', async (t) => {
        const { phone, connection, peers } = await startAlice(t);
        const incoming = nextEvent(phone, 'incoming');
        const say = speakerFor(connection, 'c-1');
        say('call-start', { id: 1, video: true });
        const call = await incoming;
        const accepted = call.accept();
        const accept = await connection.next('call-accept');
        say('call-offer', { sdp: 'their offer', offerId: 1 });
        await connection.take('call-answer');
        peers[0].become('connected');
        assert.equal(await accepted, true);
        connection.refuse(accept, 'unconfirmed');
        await settled({ phone, connection });
        assert.equal(call.state, 'connected');
    });

    test('handles what came before it accepted, in order', async (t) => {
        const world = await startAccepted(t, {
            before: async ({ phone, connection, say }) => {
                say('call-candidate', { candidate: { candidate: 'one' } });
                say('call-offer', { sdp: 'their offer', offerId: 1 });
                await settled({ phone, connection });
            },
        });
        await world.connection.take('call-answer');
        assert.deepEqual(world.peer.candidates, [{ candidate: 'one' }]);
    });

    test('without a picture receives one all the same, and can add its own later', async (t) => {
        const world = await startAccepted(t, { wanted: { video: false } });
        const { connection, call, say, peer, devices } = world;
        say('call-offer', { sdp: 'their offer', offerId: 1 });
        await connection.take('call-answer');
        assert.deepEqual(sendersOf(peer), { audio: 'sendrecv live', video: 'recvonly empty' });
        assert.equal(call.isCameraOff, true);
        assert.equal(await call.cameraOff(false), true);
        assert.deepEqual(devices.asked, ['audio', 'video']);
        assert.deepEqual(sendersOf(peer), { audio: 'sendrecv live', video: 'sendrecv live' });
        assert.equal(call.isCameraOff, false);
    });

    test('gives way when both offer', async (t) => {
        const world = await startAccepted(t);
        const { connection, say, peer } = world;
        say('call-offer', { sdp: 'first', offerId: 1 });
        await connection.take('call-answer');
        peer.onnegotiationneeded();
        await connection.take('call-offer');
        say('call-offer', { sdp: 'second', offerId: 2 });
        assert.equal((await connection.take('call-answer')).offerId, 2);
        assert.equal(peer.remoteDescription.sdp, 'second');
    });

    test('tells when the picture of the other side starts and stops', async (t) => {
        const world = await startAccepted(t);
        const { connection, call, say, peer, heard } = world;
        assert.equal(call.remoteVideo, false);
        for (const [offerId, theirs] of ['sendrecv', 'recvonly', 'sendrecv'].entries()) {
            say('call-offer', { sdp: 'their offer', offerId });
            await connection.take('call-answer');
            const before = heard.remote.length;
            peer.getTransceivers()[1].theirs = theirs;
            say('call-offer', { sdp: 'their offer', offerId });
            await connection.take('call-answer');
            await settled(world);
            assert.equal(call.remoteVideo, theirs === 'sendrecv');
            assert.equal(heard.remote.length, before + (offerId === 0 ? 0 : 1));
        }
        call.end();
        assert.equal(call.remoteVideo, false);
    });
});

describe('a path that breaks', OPTIONS, () => {
    test('is looked for again at once when it failed', async (t) => {
        const { clock, connection, call, peer } = await startFlowing(t);
        await clock.pass(60000);
        assert.equal(peer.restarts, 0);
        peer.become('failed');
        assert.equal(call.state, 'reconnecting');
        await clock.pass(0);
        assert.equal((await connection.take('call-offer')).sdp, 'offer 2');
        assert.equal(peer.restarts, 1);
        peer.become('connected');
        assert.equal(call.state, 'connected');
    });

    test('has two seconds to mend itself', async (t) => {
        const { clock, call, peer } = await startFlowing(t);
        peer.become('disconnected');
        assert.equal(call.state, 'reconnecting');
        await clock.pass(1999);
        peer.become('connected');
        assert.equal(call.state, 'connected');
        await clock.pass(60000);
        assert.equal(peer.restarts, 0);
        peer.become('disconnected');
        await clock.pass(2000);
        assert.equal(peer.restarts, 1);
    });

    test('is looked for again and again, which is told once', async (t) => {
        const { clock, call, peer, heard } = await startFlowing(t);
        peer.become('failed');
        for (let i = 0; i < 4; i++) {
            peer.become('failed');
            await clock.pass(10000);
        }
        assert.ok(peer.restarts >= 4 && peer.restarts <= 14, String(peer.restarts));
        assert.deepEqual(heard.trouble, ['no-path']);
        assert.equal(call.state, 'reconnecting');
    });

    test('is looked for after the server is back', async (t) => {
        const { server, clock, phone, connection, call, peer } = await startFlowing(t);
        connection.terminate();
        peer.become('disconnected');
        await inState(phone, 'waiting');
        await clock.pass(250);
        const next = await server.connection();
        assert.equal((await next.take('call-offer')).callId, call.id);
        assert.equal(peer.restarts, 1);
    });

    test('does not matter to the connection, nor the other way round', async (t) => {
        const { server, clock, phone, connection, call, peer } = await startFlowing(t);
        connection.terminate();
        await inState(phone, 'waiting');
        assert.equal(call.state, 'connected');
        await clock.pass(250);
        const next = await server.connection();
        await settled({ phone, connection: next });
        assert.deepEqual([call.state, peer.restarts, next.inbox.length], ['connected', 0, 0]);
    });

    test('is looked for on a new network, even if it seems well', async (t) => {
        const target = new EventTarget();
        globalThis.addEventListener = target.addEventListener.bind(target);
        globalThis.removeEventListener = target.removeEventListener.bind(target);
        t.after(() => {
            delete globalThis.addEventListener;
            delete globalThis.removeEventListener;
        });
        const { server, clock, phone, call, peer } = await startFlowing(t);
        target.dispatchEvent(new Event('online'));
        const next = await server.connection();
        const offer = await next.take('call-offer');
        assert.deepEqual([peer.restarts, call.state], [1, 'connected']);
        next.say({
            type: 'call-answer',
            from: 'bob',
            callId: call.id,
            sdp: 'again',
            offerId: offer.offerId,
        });
        await settled({ phone, connection: next });
        await clock.pass(60000);
        assert.equal(peer.restarts, 1);
    });

    test('is looked for when an offer was never answered, though all seems well', async (t) => {
        const { clock, connection, call, peer } = await startFlowing(t, { video: false });
        await call.cameraOff(false);
        const offer = await connection.take('call-offer');
        assert.equal(peer.signalingState, 'have-local-offer');
        await clock.pass(10000);
        const again = await connection.take('call-offer');
        assert.equal(again.offerId, offer.offerId + 1);
        assert.equal(call.state, 'connected');
    });

    test('is looked for when an offer was lost', async (t) => {
        const { clock, connection, peer, call } = await startFlowing(t);
        peer.become('failed');
        await clock.pass(0);
        connection.refuse(await connection.next('call-offer'), 'overloaded');
        await within(
            'another offer',
            (async () => {
                while (peer.restarts < 2) {
                    await clock.pass(1000);
                    await new Promise(setImmediate);
                }
            })(),
        );
        assert.equal((await connection.take('call-offer')).callId, call.id);
    });

    test('of a call that is over at the server ends it here', async (t) => {
        const { server, clock, phone, connection, call, peer, devices } = await startFlowing(t);
        connection.terminate();
        peer.become('disconnected');
        await inState(phone, 'waiting');
        await clock.pass(250);
        const next = await server.connection();
        next.refuse(await next.next('call-offer'), 'no-such-call');
        await nextEvent(call, 'ended');
        assert.deepEqual([call.result, devices.live.length], ['connection-lost', 0]);
    });
});

describe('camera and microphone', OPTIONS, () => {
    const cases = [
        /* refusals; what is asked for; what remains; the trouble */
        [{ video: 'NotAllowedError' }, ['audio+video', 'audio'], ['audio'], 'camera'],
        [{ video: 'NotFoundError' }, ['audio+video', 'audio'], ['audio'], 'camera'],
        [{ video: 'NotReadableError' }, ['audio+video', 'audio'], ['audio'], 'camera'],
        [{ audio: 'NotFoundError' }, ['audio+video', 'audio', 'video'], ['video'], 'microphone'],
        [
            { audio: 'NotAllowedError', video: 'NotAllowedError' },
            ['audio+video', 'audio'],
            [],
            'camera-and-microphone',
        ],
        [
            { audio: 'NotFoundError', video: 'NotFoundError' },
            ['audio+video', 'audio', 'video'],
            [],
            'no-device',
        ],
    ];
    for (const [refusals, asked, kinds, trouble] of cases) {
        test(`${JSON.stringify(refusals)}: the call goes on`, async (t) => {
            const world = await startAlice(t);
            Object.assign(world.devices.refusals, refusals);
            const call = world.phone.call('bob');
            const { kind, name, sentence } = await nextEvent(call, 'trouble');
            assert.equal(kind, trouble);
            assert.equal(name, Object.values(refusals)[0]);
            assert.match(sentence, /^[A-Z].*\.$/);
            assert.deepEqual(world.devices.asked, asked);
            await world.connection.take('call-start');
            speakerFor(world.connection, call.id)('call-accept');
            await world.connection.take('call-offer');
            const expected = ['audio', 'video'].map((each) =>
                kinds.includes(each) ? [each, 'sendrecv live'] : [each, 'recvonly empty'],
            );
            assert.deepEqual(sendersOf(world.peers[0]), Object.fromEntries(expected));
            assert.equal(call.isCameraOff, !kinds.includes('video'));
        });
    }

    test('are not to be had on an insecure page, or in an old browser', async (t) => {
        for (const [isSecureContext, kind] of [
            [false, 'insecure'],
            [true, 'unsupported'],
        ]) {
            globalThis.isSecureContext = isSecureContext;
            t.after(() => delete globalThis.isSecureContext);
            const world = await startAlice(t, { getUserMedia: undefined });
            const call = world.phone.call('bob');
            const trouble = await nextEvent(call, 'trouble');
            assert.equal(trouble.kind, kind);
            assert.equal(call.state, 'calling');
            assert.equal(await call.cameraOff(false), false);
        }
    });

    test('are asked for only as far as wanted', async (t) => {
        const { phone, devices } = await startAlice(t);
        const call = phone.call('bob', { video: false });
        await nextEvent(call, 'local');
        assert.deepEqual(devices.asked, ['audio']);
    });

    test('take constraints, which the other side does not see', async (t) => {
        const asked = [];
        const devices = new FakeDevices();
        const { phone, connection } = await startAlice(t, {
            getUserMedia: (constraints) => {
                asked.push(constraints);
                return devices.getUserMedia(constraints);
            },
        });
        phone.call('bob', { video: { deviceId: { exact: 'back' } } });
        const start = await connection.take('call-start');
        assert.equal(start.video, true);
        assert.deepEqual(asked, [{ audio: {}, video: { deviceId: { exact: 'back' } } }]);
    });

    test('the microphone is muted, also before it is there', async (t) => {
        const { phone, devices } = await startAlice(t);
        const call = phone.call('bob');
        call.mute();
        await nextEvent(call, 'local');
        const microphone = devices.tracks.find(({ kind }) => kind === 'audio');
        assert.deepEqual([call.muted, microphone.enabled], [true, false]);
        call.mute(false);
        assert.deepEqual([call.muted, microphone.enabled], [false, true]);
    });

    test('the camera is released while it is off', async (t) => {
        const { call, peer, devices } = await startFlowing(t);
        const camera = devices.tracks.find(({ kind }) => kind === 'video');
        assert.equal(await call.cameraOff(true), true);
        assert.deepEqual([call.isCameraOff, camera.readyState], [true, 'ended']);
        assert.deepEqual(sendersOf(peer), { audio: 'sendrecv live', video: 'recvonly empty' });
        assert.equal(await call.cameraOff(false), true);
        assert.deepEqual(sendersOf(peer), { audio: 'sendrecv live', video: 'sendrecv live' });
        assert.equal(devices.live.length, 2);
    });

    test('the camera may be switched off while it is being asked for', async (t) => {
        const { phone, devices } = await startAlice(t);
        const call = phone.call('bob');
        const local = nextEvent(call, 'local', (stream) => stream.getTracks().length > 0);
        await call.cameraOff(true);
        await local;
        assert.deepEqual(
            devices.live.map(({ kind }) => kind),
            ['audio'],
        );
        assert.equal(call.isCameraOff, true);
    });

    test('a camera that does not come on is told of', async (t) => {
        const { call, devices, heard } = await startFlowing(t);
        await call.cameraOff(true);
        devices.refusals.video = 'NotReadableError';
        assert.equal(await call.cameraOff(false), false);
        assert.equal(call.isCameraOff, true);
        assert.deepEqual(heard.trouble, ['camera']);
    });

    test('another device takes over without a new offer', async (t) => {
        const { connection, call, peer, devices } = await startFlowing(t);
        assert.equal(await call.setDevice('audioinput', 'headset'), true);
        assert.equal(await call.setDevice('videoinput', 'back'), true);
        assert.deepEqual(
            devices.live.map(({ deviceId }) => deviceId),
            ['headset', 'back'],
        );
        const sent = peer.getTransceivers().map(({ sender }) => sender.track.deviceId);
        assert.deepEqual(sent, ['headset', 'back']);
        assert.deepEqual(connection.inbox, []);
        assert.equal(await call.setDevice('audiooutput', 'x'), false);
    });

    test('a muted microphone stays muted when it is changed', async (t) => {
        const { call, devices } = await startFlowing(t);
        call.mute();
        await call.setDevice('audioinput', 'headset');
        assert.equal(devices.live.find(({ kind }) => kind === 'audio').enabled, false);
    });

    test('a device that cannot be taken leaves the one there is', async (t) => {
        const { call, devices, heard } = await startFlowing(t);
        devices.refusals.video = 'OverconstrainedError';
        assert.equal(await call.setDevice('videoinput', 'gone'), false);
        assert.deepEqual(
            devices.live.map(({ deviceId }) => deviceId),
            ['default', 'default'],
        );
        assert.match(heard.sentences[0], /the one in use stays/);
    });

    test('a camera chosen while it is off is the one that comes on', async (t) => {
        const { call, devices } = await startFlowing(t);
        await call.cameraOff(true);
        assert.equal(await call.setDevice('videoinput', 'back'), true);
        await call.cameraOff(false);
        assert.equal(devices.live.find(({ kind }) => kind === 'video').deviceId, 'back');
    });

    test('a device that is unplugged is told of', async (t) => {
        const { call, devices, peer, heard } = await startFlowing(t);
        const camera = devices.tracks.find(({ kind }) => kind === 'video');
        camera.readyState = 'ended';
        camera.onended();
        assert.deepEqual(heard.trouble, ['camera']);
        assert.equal(call.isCameraOff, true);
        assert.equal(sendersOf(peer).video, 'recvonly empty');
    });
});

describe('what a call leaves behind', OPTIONS, () => {
    /* Which handlers are still there. */
    const handlersOf = (target) =>
        Object.keys(target).filter((key) => key.startsWith('on') && target[key] !== null);

    test('is nothing', async (t) => {
        const { clock, connection, call, say, peer, devices } = await startFlowing(t);
        peer.addTransceiver('video');
        peer.ontrack({ track: peer.getTransceivers()[0].receiver.track });
        const { remoteStream } = call;
        say('call-candidate', { candidate: { candidate: 'one' } });
        call.hangUp();
        await connection.take('call-end');
        assert.equal(devices.live.length, 0);
        assert.deepEqual(devices.tracks.flatMap(handlersOf), []);
        assert.equal(peer.connectionState, 'closed');
        assert.deepEqual(handlersOf(peer), []);
        assert.deepEqual(remoteStream.getTracks().flatMap(handlersOf), []);
        await clock.pass(15000);
        assert.equal(clock.pending, 0);
        call.mute();
        assert.equal(await call.cameraOff(false), false);
        assert.equal(devices.live.length, 0);
    });

    test('is no camera that was still being asked for', async (t) => {
        let permit;
        const devices = new FakeDevices();
        const { phone, connection } = await startAlice(t, {
            getUserMedia: async (constraints) => {
                await new Promise((resolve) => {
                    permit = resolve;
                });
                return devices.getUserMedia(constraints);
            },
        });
        const call = phone.call('bob');
        await connection.take('call-start');
        call.cancel();
        permit();
        await new Promise(setImmediate);
        assert.deepEqual([devices.tracks.length, devices.live.length], [2, 0]);
    });

    test('after a glare is its camera, to the call that stands', async (t) => {
        const { phone, connection, devices, peers } = await startAlice(t);
        const ours = phone.call('bob');
        await nextEvent(ours, 'local');
        ours.mute();
        connection.refuse(await connection.next('call-start'), 'glare', { callId: 'theirs' });
        await nextEvent(ours, 'ended');
        assert.equal(devices.live.length, 2);
        const taken = nextEvent(phone, 'call');
        const say = speakerFor(connection, 'theirs');
        say('call-start', { id: 1, video: true });
        const theirs = await taken;
        await connection.take('call-accept');
        say('call-offer', { sdp: 'their offer', offerId: 1 });
        await connection.take('call-answer');
        assert.deepEqual(devices.asked, ['audio+video']);
        assert.deepEqual(sendersOf(peers[0]), { audio: 'sendrecv live', video: 'sendrecv live' });
        assert.equal(theirs.muted, true);
        theirs.end();
        assert.equal(devices.live.length, 0);
    });

    test('after a glare is no camera if the call that stands never comes', async (t) => {
        const { phone, clock, connection, devices } = await startAlice(t);
        const ours = phone.call('bob');
        await nextEvent(ours, 'local');
        connection.refuse(await connection.next('call-start'), 'glare', { callId: 'theirs' });
        await nextEvent(ours, 'ended');
        await clock.pass(10000);
        assert.equal(devices.live.length, 0);
    });
});

test('there are no devices where there is no browser', async (t) => {
    const { phone } = await startAlice(t);
    assert.deepEqual(await phone.constructor.devices(), []);
});
