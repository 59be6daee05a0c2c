/* The client library in a real browser, with Chromium's own artificial camera, against a real
 * broker and two gateways: alice's page talks to the first, bob's to the second. Sound and picture
 * flow from page to page. */
import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

import { makeDir, removeDir, root, startSet } from './harness.mjs';

const OPTIONS = { timeout: 60_000 };
const CHROMIUM_FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--disable-features=WebRtcHideLocalIpsWithMdns',
];
const LAUNCH = {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: CHROMIUM_FLAGS,
};

let dir;
let set;
let browser;
let contexts = [];
let mistakes = []; // exceptions in any page of the current test

before(async () => {
    dir = makeDir();
    copyFileSync(join(root, 'static', 'switchboard.js'), join(dir, 'switchboard.js'));
    const page = (script) => `<!doctype html><link rel="icon" href="data:,">${script}`;
    writeFileSync(join(dir, 'index.html'), page('<script src="switchboard.js"></script>'));
    writeFileSync(
        join(dir, 'module.html'),
        page('<script type="module">import "./switchboard.js";</script>'),
    );
    set = await startSet({ gateways: 2, flags: { 'static-dir': dir } });
    browser = await chromium.launch(LAUNCH);
}, OPTIONS);

after(async () => {
    await browser?.close();
    await set?.stop();
    removeDir(dir);
}, OPTIONS);

afterEach(async () => {
    // Those of a browser that is gone are closed already.
    await Promise.allSettled(contexts.splice(0).map((context) => context.close()));
    assert.deepEqual(mistakes.splice(0), []);
});

// A page of its own, with nothing but the library.
async function newPage(url, from = browser) {
    const context = await from.newContext();
    contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (error) => mistakes.push(error.message));
    page.on('console', (message) => {
        // Browsers tell of every connection that fails.
        if (!message.text().startsWith('WebSocket connection to')) mistakes.push(message.text());
    });
    await page.goto(url);
    return page;
}

// A page with a phone that is online: `phone`, its latest call `call`, every RTCPeerConnection in
// `peers`, every track of its camera and microphone in `tracks`, `until(emitter, name, isTrue)`.
// `refused`: kinds of devices that there is no permission for.
async function startPhone(userId, gateway, refused = [], from = browser) {
    const page = await newPage(`${set.httpUrl(gateway)}/`, from);
    await page.evaluate(
        async ([name, kinds]) => {
            window.until = (emitter, event, isTrue) =>
                new Promise((resolve) => {
                    const look = () => {
                        if (isTrue()) {
                            off();
                            resolve();
                        }
                    };
                    const off = emitter.on(event, look);
                    look();
                });
            window.peers = [];
            window.tracks = [];
            window.errors = [];
            window.troubles = [];
            window.phone = new Switchboard({
                userId: name,
                deviceId: 'page',
                RTCPeerConnection: class extends RTCPeerConnection {
                    constructor(...options) {
                        super(...options);
                        window.peers.push(this);
                    }
                },
                getUserMedia: async (constraints) => {
                    if (kinds.some((kind) => kind in constraints)) {
                        throw new DOMException('no', 'NotAllowedError');
                    }
                    const stream = await navigator.mediaDevices.getUserMedia(constraints);
                    window.tracks.push(...stream.getTracks());
                    return stream;
                },
            });
            phone.on('error', (error) => window.errors.push(String(error)));
            phone.on('call', (call) => {
                window.call = call;
                call.on('trouble', ({ kind }) => window.troubles.push(kind));
            });
            phone.connect();
            await until(phone, 'state', () => phone.state === 'online');
        },
        [userId, refused],
    );
    return page;
}

const untilState = (page, state) =>
    page.evaluate((wanted) => until(call, 'state', () => call.state === wanted), state);
const untilPicture = async (page, isThere) => {
    await page.evaluate((is) => until(call, 'remote', () => call.remoteVideo === is), isThere);
    if (isThere) await untilDrawn(page);
};
// Resolves when a picture of the other side has been drawn here.
const untilDrawn = (page) => page.evaluate(async () => {
    const screen = document.createElement('video');
    screen.muted = true;
    screen.srcObject = call.remoteStream;
    document.body.append(screen);
    const drawn = new Promise((resolve) => screen.requestVideoFrameCallback(resolve));
    await screen.play();
    await drawn;
    screen.remove();
});
const noErrors = async (...pages) => {
    for (const page of pages) {
        assert.deepEqual(await page.evaluate(() => errors), []);
    }
};

// alice and bob in a call whose sound flows.
async function establish(options, acceptOptions, { alice = [], bob = [], calleeBrowser } = {}) {
    const caller = await startPhone('alice', 0, alice);
    const callee = await startPhone('bob', 1, bob, calleeBrowser);
    await callee.evaluate((wanted) => {
        window.accepted = new Promise((resolve) => {
            phone.on('incoming', () => resolve(call.accept(wanted)));
        });
    }, acceptOptions);
    await caller.evaluate((wanted) => void phone.call('bob', wanted), options);
    assert.equal(await callee.evaluate(() => accepted), true);
    await Promise.all([untilState(caller, 'connected'), untilState(callee, 'connected')]);
    return { caller, callee };
}

// The kinds of this side's media sections, and the name under which it is reached now.
const describeLocal = (page) =>
    page.evaluate(() => {
        const { sdp } = peers.at(-1).localDescription;
        return {
            kinds: [...sdp.matchAll(/^m=(\w+)/gm)].map(([, kind]) => kind),
            ufrag: sdp.match(/^a=ice-ufrag:(.*)$/m)[1].trim(),
        };
    });

// Resolves when this side and the other have agreed on looking for a new path.
const untilRestarted = (page, oldUfrag) => page.waitForFunction((ufrag) => {
    const { localDescription: mine, signalingState } = peers.at(-1);
    return signalingState === 'stable' && !mine.sdp.includes(`a=ice-ufrag:${ufrag}`);
}, oldUfrag);

describe('in a page', () => {
    test('sound and picture flow both ways, and nothing is left of it', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: true }, { video: true });
        await Promise.all([untilPicture(caller, true), untilPicture(callee, true)]);
        for (const page of [caller, callee]) {
            const kinds = await page.evaluate(() =>
                [call.localStream, call.remoteStream].map((stream) =>
                    stream
                        .getTracks()
                        .map(({ kind }) => kind)
                        .sort()
                        .join(),
                ),
            );
            assert.deepEqual(kinds, ['audio,video', 'audio,video']);
        }
        await caller.evaluate(() => call.hangUp('bye'));
        await untilState(callee, 'ended');
        const fate = await callee.evaluate(() => [call.result, call.reason, call.endedBy]);
        assert.deepEqual(fate, ['completed', 'bye', 'peer']);
        for (const page of [caller, callee]) {
            assert.deepEqual(
                await page.evaluate(() => ({
                    tracks: [...new Set(tracks.map(({ readyState }) => readyState))],
                    peers: peers.map(({ connectionState }) => connectionState),
                    calls: phone.calls.size,
                })),
                { tracks: ['ended'], peers: ['closed'], calls: 0 },
            );
        }
        await noErrors(caller, callee);
    });

    test('a callee without a camera sees the caller all the same', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: true }, {}, { bob: ['video'] });
        await untilPicture(callee, true);
        assert.deepEqual(await callee.evaluate(() => troubles), ['camera']);
        assert.equal(await caller.evaluate(() => call.remoteVideo), false);
        await noErrors(caller, callee);
    });

    test('a caller without any device hears and sees the callee', OPTIONS, async () => {
        const { caller, callee } = await establish({}, {}, { alice: ['audio', 'video'] });
        await untilPicture(caller, true);
        assert.deepEqual(await caller.evaluate(() => troubles), ['camera-and-microphone']);
        await noErrors(caller, callee);
    });

    test('who call each other see each other, over one call', OPTIONS, async () => {
        const pages = await Promise.all([startPhone('alice', 0), startPhone('bob', 1)]);
        const dial = (page, name) => page.evaluate((other) => void phone.call(other), name);
        await Promise.all([dial(pages[0], 'bob'), dial(pages[1], 'alice')]);
        const ids = await Promise.all(pages.map((page) => page.evaluate(async () => {
            const standing = () => [...phone.calls.values()].find(({ isAnswered }) => isAnswered);
            await until(phone, 'message', () => standing());
            window.call = standing();
            await until(call, 'state', () => call.state === 'connected');
            return call.id;
        })));
        assert.equal(ids[0], ids[1]);
        await Promise.all(pages.map((page) => untilPicture(page, true)));
        for (const page of pages) {
            const asked = await page.evaluate(() => tracks.map(({ kind }) => kind).sort());
            assert.deepEqual(asked, ['audio', 'video'], 'the camera was asked for once');
        }
        await noErrors(...pages);
    });

    test('a camera is switched on, off and on again', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: true }, { video: false });
        await untilPicture(callee, true);
        for (const isOff of [false, true, false]) {
            assert.equal(await callee.evaluate((off) => call.cameraOff(off), isOff), true);
            await untilPicture(caller, !isOff);
        }
        await noErrors(caller, callee);
    });

    test('a call without pictures gets them, from both at once', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: false }, {});
        assert.deepEqual((await describeLocal(caller)).kinds, ['audio']);
        const on = (page) => page.evaluate(() => call.cameraOff(false));
        assert.deepEqual(await Promise.all([on(caller), on(callee)]), [true, true]);
        await Promise.all([untilPicture(caller, true), untilPicture(callee, true)]);
        const isStable = (page) =>
            page.waitForFunction(() => peers.at(-1).signalingState === 'stable');
        await Promise.all([isStable(caller), isStable(callee)]);
        assert.deepEqual((await describeLocal(caller)).kinds, ['audio', 'video']);
        await noErrors(caller, callee);
    });

    test('another camera takes over', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: true }, {});
        await untilPicture(callee, true);
        const isTaken = await caller.evaluate(async () => {
            const [camera] = (await Switchboard.devices()).filter(
                ({ kind }) => kind === 'videoinput',
            );
            return call.setDevice('videoinput', camera.deviceId);
        });
        assert.equal(isTaken, true);
        const live = await caller.evaluate(() =>
            tracks
                .filter(({ readyState }) => readyState === 'live')
                .map(({ kind }) => kind)
                .sort(),
        );
        assert.deepEqual(live, ['audio', 'video']);
        await noErrors(caller, callee);
    });

    test('a new network has both ends look for a new path', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: true }, {});
        const first = await describeLocal(caller);
        await caller.evaluate(() => dispatchEvent(new Event('online')));
        await untilRestarted(caller, first.ufrag);
        await Promise.all([untilState(caller, 'connected'), untilState(callee, 'connected')]);
        assert.equal(await caller.evaluate(() => phone.state), 'online');
        await noErrors(caller, callee);
    });

    test('a path that failed is mended', OPTIONS, async (t) => {
        // A browser that stands still answers nobody, as if its cable had been pulled.
        const server = await chromium.launchServer(LAUNCH);
        t.after(() => server.kill());
        const signal = (name) => process.kill(-server.process().pid, name);
        const other = await chromium.connect(server.wsEndpoint());
        const { caller, callee } = await establish({ video: true }, {}, { calleeBrowser: other });
        const first = await describeLocal(caller);
        signal('SIGSTOP');
        await untilState(caller, 'reconnecting');
        await caller.evaluate(() => new Promise((resolve) => {
            phone.on('message', ({ message }) => message.type === 'call-offer' && resolve());
        }));
        signal('SIGCONT');
        await untilRestarted(caller, first.ufrag);
        await Promise.all([untilState(caller, 'connected'), untilState(callee, 'connected')]);
        await untilDrawn(caller);
        await noErrors(caller, callee);
    });

    test('the call goes on while the server is away', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: true }, {});
        await set.gateways[0].kill();
        await caller.evaluate(() => until(phone, 'state', () => phone.state === 'waiting'));
        assert.equal(await caller.evaluate(() => call.state), 'connected');
        await set.startGateway(0);
        await set.linked(0);
        await caller.evaluate(async () => {
            phone.connect();
            await until(phone, 'state', () => phone.state === 'online');
            call.hangUp();
        });
        await untilState(callee, 'ended');
        await noErrors(caller, callee);
    });

    test('who leaves the page while in a call does no harm', OPTIONS, async () => {
        const { caller, callee } = await establish({ video: true }, {});
        await callee.goto('about:blank');
        assert.equal(await caller.evaluate(() => call.state !== 'ended'), true);
        await caller.evaluate(() => phone.disconnect());
        assert.equal(await caller.evaluate(() => call.result), 'completed');
    });
});

describe('how it is loaded', () => {
    const connects = (page, url) =>
        page.evaluate(async (given) => {
            const phone = new globalThis.Switchboard({ url: given, userId: 'loaded' });
            phone.connect();
            await new Promise((resolve) =>
                phone.on('state', ({ state }) => state === 'online' && resolve()),
            );
            phone.disconnect();
            return phone.state;
        }, url);

    test('by a module', OPTIONS, async () => {
        const page = await newPage(`${set.httpUrl(0)}/module.html`);
        assert.equal(await connects(page, ''), 'stopped');
    });

    test('from disk, where there is no server of its own', OPTIONS, async () => {
        const page = await newPage(pathToFileURL(join(dir, 'index.html')).href);
        assert.equal(await connects(page, set.wsUrl(0)), 'stopped');
        const code = await page.evaluate(() => {
            try {
                return new Switchboard({ userId: 'alice' }).state;
            } catch (error) {
                return error.code;
            }
        });
        assert.equal(code, 'bad-url');
    });

    test('without leaving names behind', OPTIONS, async () => {
        const page = await newPage(`${set.httpUrl(0)}/`);
        const found = await page.evaluate(() =>
            ['Call', 'Peer', 'Line', 'Outbox', 'PROTOCOL'].filter((name) => {
                try {
                    return (0, eval)(`typeof ${name}`) !== 'undefined';
                } catch {
                    return true;
                }
            }),
        );
        assert.deepEqual(found, []);
    });
});
