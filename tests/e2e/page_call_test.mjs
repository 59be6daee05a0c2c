/* Calls between telephone pages in a real browser, with sound and picture and all that can fail
 * meanwhile: servers, tabs, cameras. alice's pages talk to the first gateway, bob's to the second. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { startSet } from './harness.mjs';
import {
    Browser,
    dial,
    establish,
    markSeen,
    takePictures,
    whenCall,
    whenFlowing,
    whenLink,
    whenNoticed,
    whenOver,
    whenSeen,
    whenStaged,
} from './pages.mjs';

const OPTIONS = { timeout: 90_000 };
const VIDEO = { video: true };
const CALL_GRACE_MS = 2000;

let set;
let browser;

before(async () => {
    set = await startSet({ gateways: 2, brokerFlags: { 'call-grace-ms': CALL_GRACE_MS } });
    /* A name that is neither https nor localhost, and leads here. */
    browser = await Browser.launch(['--host-resolver-rules=MAP telephone.test 127.0.0.1']);
}, OPTIONS);

after(async () => {
    await browser?.close();
    await set?.stop();
}, OPTIONS);

afterEach(() => browser.closePages());

const signIn = (name, gateway, options) => browser.signIn(set.httpUrl(gateway), name, options);
const whenPicture = (page, state) =>
    page.locator(`#active[data-picture="${state}"]`).waitFor({ state: 'attached' });

async function establishVideo() {
    const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
    await establish(alice, bob, 'bob', VIDEO);
    return { alice, bob };
}

/* As a crash would; both gateways have the next one when it returns. */
async function restartBroker() {
    const marks = set.gateways.map((gateway) => gateway.mark());
    await set.broker.kill();
    await set.startBroker();
    await Promise.all(marks.map((mark, slot) => set.linked(slot, mark)));
}

/* Runs in a page before anything else: what its getUserMedia says for devices of these kinds. */
function withoutDevices({ kinds, exception }) {
    const real = navigator.mediaDevices;
    const ask = real.getUserMedia.bind(real);
    real.getUserMedia = async (constraints) => {
        if (kinds.some((kind) => constraints[kind])) {
            throw new DOMException('not here', exception);
        }
        return ask(constraints);
    };
    if (exception === 'NotFoundError') {
        real.enumerateDevices = async () => [];
    }
}

describe('sound and picture', OPTIONS, () => {
    test('flow both ways across two gateways', async () => {
        const { alice, bob } = await establishVideo();
        await Promise.all([whenPicture(alice, 'on'), whenPicture(bob, 'on')]);
        await Promise.all([whenFlowing(alice), whenFlowing(bob)]);
        assert.equal(await alice.locator('#local').isVisible(), true);
        await takePictures(alice, 'video');

        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(bob, /alice.* hung up/);
        for (const page of [alice, bob]) {
            const left = await page.evaluate(() => ({
                peers: window.peers.map(({ connectionState }) => connectionState),
                streams: [...document.querySelectorAll('video')].map(({ srcObject }) => srcObject),
            }));
            assert.deepEqual(left, { peers: ['closed'], streams: [null, null] });
        }
    });

    test('one takes a video call with sound only, and adds the picture later', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await dial(alice, 'bob', VIDEO);
        await bob.getByRole('button', { name: 'Audio only' }).click();
        await Promise.all([whenCall(alice, 'connected'), whenCall(bob, 'connected')]);
        await whenPicture(bob, 'on');
        assert.equal(await bob.locator('#local').isVisible(), false);
        await bob.getByRole('button', { name: 'Camera on' }).click();
        await whenPicture(alice, 'on');
        await whenFlowing(alice);
        await bob.getByRole('button', { name: 'Camera off' }).click();
        await whenPicture(alice, 'off');
        await whenFlowing(alice, ['energy']);
    });

    test('one mutes', async () => {
        const { alice, bob } = await establishVideo();
        const isSilent = () =>
            alice.evaluate(() => {
                const [track] = document.getElementById('local').srcObject.getAudioTracks();
                return !track.enabled;
            });
        await alice.getByRole('button', { name: 'Mute' }).click();
        assert.equal(await isSilent(), true);
        await takePictures(alice, 'muted');
        await alice.getByRole('button', { name: 'Unmute' }).click();
        assert.equal(await isSilent(), false);
        await whenFlowing(bob);
    });

    test('one takes other devices', async () => {
        const { alice, bob } = await establishVideo();
        await alice.getByRole('button', { name: 'Devices' }).click();
        await alice.getByRole('dialog').waitFor();
        await takePictures(alice, 'devices');
        const track = () =>
            alice.evaluate(
                () => document.getElementById('local').srcObject.getAudioTracks()[0].label,
            );
        const [first, others] = [await track(), alice.getByLabel('Microphone').locator('option')];
        const labels = await others.allTextContents();
        const other = labels.find((label) => label !== first && !/default/i.test(label));
        await alice.getByLabel('Microphone').selectOption({ label: other });
        await alice.locator('#audioinput').evaluate(
            (select, label) =>
                new Promise((resolve) => {
                    const { srcObject } = document.getElementById('local');
                    const look = () =>
                        srcObject.getAudioTracks()[0]?.label === label
                            ? resolve()
                            : requestAnimationFrame(look);
                    look();
                }),
            other,
        );
        await alice.getByLabel('Loudspeaker').selectOption({ index: 1 });
        await alice.getByRole('button', { name: 'Close' }).click();
        await Promise.all([whenFlowing(alice), whenFlowing(bob)]);
        const kept = await alice.evaluate(() => localStorage.getItem('switchboard.devices'));
        assert.deepEqual(Object.keys(JSON.parse(kept)).sort(), ['audioinput', 'audiooutput']);
    });
});

describe('what is refused or missing', OPTIONS, () => {
    const cases = [
        ['the camera is refused', ['video'], 'NotAllowedError', /no permission to use the camera/],
        ['the microphone is refused', ['audio'], 'NotAllowedError', /microphone/],
        ['all is refused', ['audio', 'video'], 'NotAllowedError', /camera or microphone/],
        ['there are no devices', ['audio', 'video'], 'NotFoundError', /No camera or microphone/],
    ];
    for (const [what, kinds, exception, words] of cases) {
        test(`${what}: it is said, and the call goes on`, async () => {
            const [alice, bob] = [
                await signIn('alice', 0, {
                    prepare: withoutDevices,
                    argument: { kinds, exception },
                }),
                await signIn('bob', 1),
            ];
            await establish(alice, bob, 'bob', VIDEO);
            await whenStaged(alice, words);
            await whenPicture(alice, 'on');
            await whenFlowing(alice);
            if (!kinds.includes('audio')) {
                await whenFlowing(bob, ['energy']);
            }
            await takePictures(alice, `trouble-${kinds.join('-')}-${exception}`);
            await alice.getByRole('button', { name: 'Hang up' }).click();
            await whenOver(bob, /alice.* hung up/);
        });
    }

    test('the browser itself refuses', async () => {
        const refusing = await Browser.launch(['--use-fake-ui-for-media-stream=deny']);
        try {
            const alice = await refusing.signIn(set.httpUrl(0), 'alice');
            const bob = await signIn('bob', 1);
            await establish(alice, bob, 'bob', VIDEO);
            await whenStaged(alice, /no permission to use the camera or microphone/);
            await whenPicture(alice, 'on');
            await refusing.closePages();
        } finally {
            await refusing.close();
        }
    });

    test('an insecure origin is told what it cannot do, and receives', async () => {
        const [alice, bob] = [
            await browser.signIn(`http://telephone.test:${set.port(0)}`, 'alice'),
            await signIn('bob', 1),
        ];
        await alice.locator('#insecure').waitFor();
        await takePictures(alice, 'insecure');
        await establish(bob, alice, 'alice', VIDEO);
        await whenStaged(alice, /only to pages from https or localhost/);
        await whenPicture(alice, 'on');
        await whenFlowing(alice);
    });
});

describe('failures', OPTIONS, () => {
    test('the broker dies in a call: sound and picture go on, and the end arrives', async () => {
        const { alice, bob } = await establishVideo();
        await set.broker.kill();
        await Promise.all([whenFlowing(alice), whenFlowing(bob)]);
        const marks = set.gateways.map((gateway) => gateway.mark());
        await set.startBroker();
        await Promise.all(marks.map((mark, slot) => set.linked(slot, mark)));
        await Promise.all([whenFlowing(alice), whenFlowing(bob)]);
        for (const page of [alice, bob]) {
            assert.equal(await page.locator('body').getAttribute('data-call'), 'connected');
        }
        await bob.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(alice, /bob.* hung up/);
    });

    test('the broker dies while it rings: it can be answered', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await dial(alice, 'bob', VIDEO);
        await whenCall(bob, 'incoming');
        await restartBroker();
        assert.equal(await bob.locator('body').getAttribute('data-call'), 'incoming');
        await bob.locator('#accept').click();
        await Promise.all([whenCall(alice, 'connected'), whenCall(bob, 'connected')]);
        await Promise.all([whenFlowing(alice), whenFlowing(bob)]);
        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(bob, /alice.* hung up/);
    });

    test('the broker dies while it rings: it can be declined and cancelled', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await dial(alice, 'bob');
        await whenCall(bob, 'incoming');
        await restartBroker();
        await bob.getByRole('button', { name: 'Decline' }).click();
        await whenOver(alice, /bob.* declined/);

        await alice.getByRole('button', { name: 'Call again' }).click();
        await whenCall(bob, 'incoming');
        await restartBroker();
        await alice.getByRole('button', { name: 'Cancel' }).click();
        await whenNoticed(bob, /missed a call from .*alice/);
    });

    test('a gateway dies in a call: the page comes back, and the call goes on', async () => {
        const { alice, bob } = await establishVideo();
        await set.gateways[0].kill();
        await alice.locator('#trouble', { hasText: 'Your call goes on' }).waitFor();
        await Promise.all([whenFlowing(alice), whenFlowing(bob)]);
        await set.startGateway(0);
        await set.linked(0);
        await whenLink(alice, 'online');
        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(bob, /alice.* hung up/);
    });

    test('a tab that dies without a goodbye ends the call for the other one', async () => {
        const { alice, bob } = await establishVideo();
        await whenFlowing(bob);
        const devtools = await alice.context().newCDPSession(alice);
        const crashed = alice.waitForEvent('crash');
        devtools.send('Page.crash').catch(() => {}); /* nobody is left to answer */
        await crashed;
        await whenOver(bob, /connection with .*alice.* was lost/);
        await takePictures(bob, 'connection-lost');
    });

    test('a caller who dies while it rings has called', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await dial(alice, 'bob');
        await whenCall(bob, 'incoming');
        const devtools = await alice.context().newCDPSession(alice);
        const crashed = alice.waitForEvent('crash');
        devtools.send('Page.crash').catch(() => {});
        await crashed;
        await whenNoticed(bob, /missed a call from .*alice/);
    });
});

describe('three devices', OPTIONS, () => {
    test('the others stop ringing at the answer', async (t) => {
        const alice = await signIn('alice', 0);
        const phone = await signIn('bob', 1, { device: 'phone' });
        const others = [
            await signIn('bob', 1, { device: 'laptop' }),
            await signIn('bob', 0, { device: 'tablet' }),
        ];
        await dial(alice, 'bob');
        await Promise.all([phone, ...others].map((page) => whenCall(page, 'incoming')));
        const marks = await Promise.all(others.map(markSeen));
        const answeredAt = await phone.evaluate(() => {
            const at = Date.now();
            document.getElementById('accept').click();
            return at;
        });
        const stoppedAt = await Promise.all(
            others.map((page, i) => whenSeen(page, 'call', 'none', marks[i])),
        );
        t.diagnostic(`stopped ${stoppedAt.map((at) => at - answeredAt).join(' and ')} ms after it`);
        await Promise.all(others.map((page) => whenNoticed(page, /on another device/)));
        await Promise.all([whenCall(alice, 'connected'), whenCall(phone, 'connected')]);
        await Promise.all([alice, phone].map((page) => whenFlowing(page, ['energy'])));
    });
});
