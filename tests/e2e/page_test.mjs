/* The telephone page in a real browser, against a real broker and two gateways: alice's pages talk
 * to the first gateway, bob's to the second, so every call here crosses the broker. What the page
 * says and does; page_call_test.mjs is about sound and picture, and about what fails meanwhile. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { makeDir, removeDir, root, startSet } from './harness.mjs';
import {
    Browser,
    dial,
    establish,
    gatewayOf,
    markSeen,
    takePictures,
    whenCall,
    whenLink,
    whenNoticed,
    whenOver,
    whenSeen,
    whenStaged,
    whenTitled,
} from './pages.mjs';

const OPTIONS = { timeout: 60_000 };

let set;
let browser;

before(async () => {
    set = await startSet({ gateways: 2 });
    browser = await Browser.launch();
}, OPTIONS);

after(async () => {
    await browser?.close();
    await set?.stop();
}, OPTIONS);

afterEach(() => browser.closePages());

const signIn = (name, gateway, options) => browser.signIn(set.httpUrl(gateway), name, options);
const overflow = (page) =>
    page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );

/* A page whose connection can be closed by us; `routes` are its connections so far. */
async function signInRouted(name, gateway, { isClocked = false } = {}) {
    const page = await browser.newPage();
    const routes = [];
    if (isClocked) {
        await page.clock.install();
    }
    await page.routeWebSocket(/userId=/, (route) => {
        routes.push(route);
        route.connectToServer();
    });
    await page.goto(`${set.httpUrl(gateway)}/?userId=${name}`);
    await whenLink(page, 'online');
    return { page, routes };
}

/* A page that is online, and gets nothing further from the server until `release()`. */
async function signInHeld(name, gateway) {
    const page = await browser.newPage();
    let held = null; /* null: nothing is held back any more, or yet */
    let pass;
    await page.routeWebSocket(/userId=/, (route) => {
        pass = (message) => route.send(message);
        route.connectToServer().onMessage((message) => {
            (held ? (each) => held.push(each) : pass)(message);
        });
    });
    await page.goto(`${set.httpUrl(gateway)}/?userId=${name}`);
    await page.locator('#session', { hasText: 'Session' }).waitFor();
    held = [];
    const release = () => {
        const messages = held;
        held = null;
        messages.forEach(pass);
    };
    return { page, release };
}

describe('calls', OPTIONS, () => {
    test('one is accepted across two gateways, and hung up', async () => {
        const alice = await browser.newPage();
        await alice.goto(`${set.httpUrl(0)}/`);
        await takePictures(alice, 'sign-in');
        await alice.getByLabel('Your name').fill('alice');
        await alice.keyboard.press('Enter');
        await whenLink(alice, 'online');
        const bob = await signIn('bob', 1);
        assert.equal(await alice.locator('#my-name').textContent(), 'alice');
        assert.equal(await alice.locator('#link-state').textContent(), 'Online');
        assert.notEqual(await gatewayOf(alice), await gatewayOf(bob));

        await alice.locator('#callee').fill('bob');
        await alice.keyboard.press('Enter');
        await whenCall(bob, 'incoming');
        assert.match(await bob.getByRole('alertdialog').innerText(), /alice\s+is calling/);
        assert.match(await bob.locator('#caller-kind').textContent(), /^Incoming call$/);
        assert.match(await bob.locator('#countdown').textContent(), /^Rings for (60|59|58) s$/);
        await whenTitled(bob, 'alice is calling');
        assert.equal(await bob.evaluate(() => document.activeElement.id), 'accept');
        await whenCall(alice, 'outgoing');
        await alice.locator('#call-state', { hasText: 'Ringing' }).waitFor();
        await takePictures(bob, 'incoming-voice');
        await takePictures(alice, 'outgoing');

        await bob.keyboard.press('Enter');
        await Promise.all([whenCall(alice, 'connected'), whenCall(bob, 'connected')]);
        assert.equal(await bob.getByRole('alertdialog').count(), 0);
        await alice.locator('#timer', { hasText: /^0:0[1-9]$/ }).waitFor();
        await takePictures(alice, 'voice');

        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(bob, /alice.* hung up/);
        await Promise.all([whenCall(alice, 'none'), whenCall(bob, 'ended')]);
        await takePictures(bob, 'ended');
        await bob.keyboard.press('Enter');
        await whenCall(bob, 'none');
        await bob.locator('#recent-list li', { hasText: /alice.*Talked 0:/ }).waitFor();
        await alice.locator('#log-list li.good', { hasText: 'call-start' }).waitFor();
        await alice.locator('#log-list li.good', { hasText: 'call-end' }).waitFor();
    });

    test('one is declined, or not taken on this device', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await dial(alice, 'bob');
        await bob.getByRole('button', { name: 'Decline' }).click();
        await whenOver(alice, /bob.* declined/);
        await whenNoticed(bob, /You declined .*alice/);

        await alice.getByRole('button', { name: 'Call again' }).click();
        await whenCall(bob, 'incoming');
        await bob.keyboard.press('Escape');
        await whenCall(bob, 'none');
        await whenNoticed(bob, /alice.* other devices/);
        await whenOver(alice, /bob.* declined/);
    });

    test('one is cancelled, and is missed', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await dial(alice, 'bob', { video: true });
        await whenCall(bob, 'incoming');
        assert.equal(await bob.locator('#caller-kind').textContent(), 'Incoming video call');
        await takePictures(bob, 'incoming-video');
        await alice.keyboard.press('Escape');
        await whenCall(alice, 'none');
        await whenNoticed(bob, /missed a call from .*alice/);
        assert.equal(await bob.getByRole('alertdialog').count(), 0);
        await bob.getByText('Missed calls (1)').waitFor();
        await takePictures(bob, 'missed');

        await bob.getByRole('button', { name: 'Call alice back' }).click();
        await whenCall(alice, 'incoming');
        assert.equal(await bob.locator('#missed').isVisible(), false);
        await alice.locator('#accept').click();
        await Promise.all([whenCall(alice, 'connected'), whenCall(bob, 'connected')]);
    });

    test('whoever is in a call is busy, and stays in it', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        const carol = await signIn('carol', 0);
        await establish(alice, bob, 'bob');
        await dial(carol, 'bob');
        await whenOver(carol, /bob.* is busy/);
        await whenStaged(bob, /carol.* called while you were busy/);
        await takePictures(bob, 'busy');
        assert.equal(await bob.locator('body').getAttribute('data-call'), 'connected');
        assert.equal(await bob.locator('#peer-name').textContent(), 'alice');
        await alice.getByRole('button', { name: 'Hang up' }).click();
        await bob.getByRole('button', { name: 'Done' }).click();
        await bob.locator('#missed-list li', { hasText: 'carol' }).waitFor();
    });

    test('two who call each other are in one call', async () => {
        const alice = await signIn('alice', 0);
        const { page: bob, release } = await signInHeld('bob', 1);
        await dial(alice, 'bob');
        await alice.locator('#log-list li.good', { hasText: 'call-start' }).waitFor();
        await dial(bob, 'alice'); /* does not know yet that alice is calling */
        release();
        await Promise.all([whenCall(alice, 'connected'), whenCall(bob, 'connected')]);
        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(bob, /alice.* hung up/);
    });

    test('leaving the page ends its call', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await establish(alice, bob, 'bob');
        await alice.goto('about:blank');
        await whenOver(bob, /alice.* hung up/);
    });

    test('who is typing does not answer with the next key', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        await bob.clock.install();
        await bob.locator('#callee').focus();
        await bob.clock.pauseAt(Date.now() + 60_000);
        await bob.keyboard.type('carol');
        await dial(alice, 'bob');
        await whenCall(bob, 'incoming');
        for (const key of ['Enter', 'Space', 'Escape']) {
            await bob.keyboard.press(key);
        }
        await bob.clock.runFor(2000);
        assert.equal(await bob.locator('body').getAttribute('data-call'), 'incoming');
        await bob.keyboard.press('Enter');
        await whenCall(alice, 'connected');
    });
});

/* Runs in a page before anything else. `window.pitches`: what sounds; `window.notes`: what was
 * notified of, in a page that nobody looks at and that may notify. */
function listenIn() {
    window.pitches = [];
    window.notes = [];
    window.OscillatorNode = class extends OscillatorNode {
        constructor(context, options) {
            super(context, options);
            window.pitches.push(options.frequency);
        }
    };
    window.Notification = class {
        static permission = 'granted';
        constructor(title, { body }) {
            window.notes.push(`${title}: ${body}`);
        }
        close() {
            window.notes.push('closed');
        }
    };
    Object.defineProperty(document, 'hidden', { get: () => true });
    /* What looks at the page from outside can count as a gesture; here only a real one does. */
    let hasBeenActive = false;
    addEventListener('pointerdown', () => { hasBeenActive = true; }, true);
    Object.defineProperty(navigator, 'userActivation', {
        value: { get hasBeenActive() { return hasBeenActive; } },
    });
}

describe('ringing', OPTIONS, () => {
    const heard = (page) => page.evaluate(() => [window.pitches, window.notes]);

    test('sounds once a gesture has allowed it, notifies, and can be silenced', async () => {
        const alice = await signIn('alice', 0, { prepare: listenIn });
        const bob = await signIn('bob', 1, { prepare: listenIn });
        await bob.getByText('Click anywhere').waitFor();
        await dial(alice, 'bob', { video: true });
        await whenCall(bob, 'incoming');
        assert.deepEqual(await heard(bob), [[], ['alice is calling: Incoming video call']]);
        await bob.locator('#caller-name').click();
        await bob.evaluate(
            () =>
                new Promise((resolve) => {
                    const look = () =>
                        window.pitches.length > 0 ? resolve() : requestAnimationFrame(look);
                    look();
                }),
        );
        assert.deepEqual((await heard(bob))[0], [440, 554]);
        await alice.locator('#call-state', { hasText: 'Ringing' }).waitFor();
        assert.deepEqual((await heard(alice))[0], [425, 450]);
        await bob.getByRole('button', { name: 'Silence' }).click();
        assert.equal(await bob.getByRole('button', { name: 'Silence' }).count(), 0);
        await bob.getByRole('button', { name: 'Decline' }).click();
        await whenOver(alice, /bob.* declined/);
        assert.equal((await heard(bob))[1].at(-1), 'closed');
    });

    test('is silent with the ringer off, also after the page is loaded anew', async () => {
        const alice = await signIn('alice', 0);
        const bob = await signIn('bob', 1, { prepare: listenIn });
        await bob.getByRole('button', { name: 'Ringer on' }).click();
        await bob.reload();
        await whenLink(bob, 'online');
        await bob.getByRole('button', { name: 'Ringer off' }).waitFor();
        await bob.locator('#my-name').click();
        await dial(alice, 'bob');
        await whenCall(bob, 'incoming');
        assert.deepEqual((await heard(bob))[0], []);
    });
});

describe('several devices', OPTIONS, () => {
    test('the ones that did not answer say so', async () => {
        const alice = await signIn('alice', 0);
        const laptop = await signIn('bob', 1, { device: 'laptop' });
        const phone = await signIn('bob', 0, { device: 'phone' });
        assert.match(await phone.locator('#link-state').textContent(), /^Online · .*phone/);
        await dial(alice, 'bob');
        await whenCall(laptop, 'incoming');
        await phone.locator('#accept').click();
        await whenNoticed(laptop, /You answered .*alice.* on another device/);
        await Promise.all([whenCall(laptop, 'none'), whenCall(phone, 'connected')]);
        await takePictures(laptop, 'answered-elsewhere');
        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(phone, /alice.* hung up/);

        await dial(alice, 'bob');
        await phone.getByRole('button', { name: 'Decline' }).click();
        await whenNoticed(laptop, /You declined .*alice.* on another device/);
        await whenOver(alice, /bob.* declined/);
    });

    test('it rings on where it was not dismissed', async () => {
        const alice = await signIn('alice', 0);
        const laptop = await signIn('bob', 1, { device: 'laptop' });
        const phone = await signIn('bob', 0, { device: 'phone' });
        await dial(alice, 'bob');
        await whenCall(laptop, 'incoming');
        await phone.getByRole('button', { name: 'Not on this device' }).click();
        await whenCall(phone, 'none');
        await laptop.locator('#accept').click();
        await Promise.all([whenCall(alice, 'connected'), whenCall(laptop, 'connected')]);
    });
});

describe('the line', OPTIONS, () => {
    test('a replaced page says so and stays away', async () => {
        const first = await browser.newPage();
        const sockets = [];
        first.on('websocket', (socket) => sockets.push(socket.url()));
        await first.clock.install();
        await first.goto(`${set.httpUrl(0)}/?userId=alice`);
        await whenLink(first, 'online');

        const second = await signIn('alice', 1);
        await first.locator('#trouble', { hasText: 'connected somewhere else' }).waitFor();
        await whenLink(first, 'stopped');
        assert.match(await first.locator('#link-state').textContent(), /^Replaced/);
        await takePictures(first, 'replaced');
        await first.clock.runFor(120_000); /* any retry would have come by then */
        assert.equal(sockets.length, 1);
        assert.equal(await second.locator('body').getAttribute('data-link'), 'online');

        await first.getByRole('button', { name: 'Reconnect' }).click();
        await whenLink(second, 'stopped');
        await whenLink(first, 'online');
    });

    test('a page comes back after 1001 and 4001, and its call goes on', async () => {
        const { page: alice, routes } = await signInRouted('alice', 0);
        const bob = await signIn('bob', 1);
        await establish(alice, bob, 'bob');
        for (const [code, state] of [
            [1001, 'connecting'],
            [4001, 'waiting'],
        ]) {
            const mark = await markSeen(alice);
            await routes.at(-1).close({ code });
            await whenSeen(alice, 'link', state, mark);
            await whenSeen(alice, 'link', 'online', mark);
        }
        assert.equal(routes.length, 3);
        assert.equal(await alice.locator('body').getAttribute('data-call'), 'connected');
        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(bob, /alice.* hung up/);
    });

    test('a goodbye said between two connections still arrives', async () => {
        const { page: alice, routes } = await signInRouted('alice', 0, { isClocked: true });
        const bob = await signIn('bob', 1);
        await establish(alice, bob, 'bob');
        await alice.clock.pauseAt(Date.now() + 1000); /* so that no retry comes by itself */
        await routes[0].close({ code: 4002 });
        await whenLink(alice, 'waiting');
        await alice.locator('#trouble', { hasText: 'Your call goes on' }).waitFor();
        await takePictures(alice, 'waiting');
        await alice.getByRole('button', { name: 'Hang up' }).click();
        await whenCall(alice, 'none');
        await whenCall(bob, 'connected');
        await alice.getByRole('button', { name: 'Try now' }).click();
        await whenOver(bob, /alice.* hung up/);
    });

    test('a page that is loaded anew is who it was', async () => {
        const alice = await browser.newPage();
        await alice.goto(`${set.httpUrl(0)}/`);
        await alice.getByLabel('Your name').fill('alice');
        await alice.getByLabel('This device').fill('laptop');
        await alice.keyboard.press('Enter');
        await whenLink(alice, 'online');
        await alice.reload();
        await whenLink(alice, 'online');
        assert.match(await alice.locator('#link-state').textContent(), /laptop/);
        await alice.getByRole('button', { name: 'Leave' }).click();
        await whenLink(alice, 'offline');
        await alice.reload();
        await alice.locator('#sign-in').waitFor();
        assert.equal(await alice.locator('#name').inputValue(), 'alice');
        assert.equal(await alice.locator('#device').inputValue(), 'laptop');
    });
});

describe('words', OPTIONS, () => {
    test('errors are said in them', async () => {
        const alice = await signIn('alice', 0);
        await dial(alice, 'nobody-here');
        await whenOver(alice, /nobody-here.* is not connected/);
        await takePictures(alice, 'user-offline');
        await alice.locator('#log-list li.bad', { hasText: 'user-offline' }).waitFor();
        await alice.getByRole('button', { name: 'Done' }).click();
        await whenCall(alice, 'none');
        await dial(alice, '');
        await whenNoticed(alice, 'enter a name');
        await dial(alice, 'alice');
        await whenNoticed(alice, 'That is you');
        await dial(alice, 'ü'.repeat(65));
        await whenNoticed(alice, 'too long');
    });

    test('a name that is markup stays text', async () => {
        const markup = '<img src=x onerror="window.owned=1"><b id=forged>';
        const [mallory, bob] = [await signIn(markup, 0), await signIn('bob', 1)];
        await dial(mallory, 'bob');
        await whenCall(bob, 'incoming');
        assert.equal(await bob.locator('#caller-name').textContent(), markup);
        await bob.locator('#accept').click();
        await whenCall(mallory, 'connected');
        await mallory.getByRole('button', { name: 'Hang up' }).click();
        await whenOver(bob, markup);
        await bob.getByRole('button', { name: 'Done' }).click();
        await bob.locator('#recent-list', { hasText: markup }).waitFor();
        for (const page of [mallory, bob]) {
            assert.equal(await page.locator('img, #forged').count(), 0);
            assert.equal(await page.evaluate(() => window.owned), undefined);
        }
    });

    test('the longest name fits the narrowest screen', async () => {
        const name = 'W'.repeat(128);
        const narrow = { viewport: { width: 320, height: 640 } };
        const [wide, slim] = [await signIn(name, 0), await signIn('slim', 1, narrow)];
        const fits = async () => assert.equal(await overflow(slim), 0);
        await slim.getByText('Raw messages').click();
        await fits();
        await slim.getByRole('button', { name: 'Devices' }).click();
        await fits();
        await slim.getByRole('button', { name: 'Close' }).click();
        await dial(wide, 'slim', { video: true });
        await whenCall(slim, 'incoming');
        await fits();
        await takePictures(slim, 'long-name-incoming');
        await slim.locator('#accept').click();
        await whenCall(slim, 'connected');
        await fits();
        await takePictures(slim, 'long-name-call');
        await slim.getByRole('button', { name: 'Hang up' }).click();
        await slim.locator('#recent-list li').waitFor();
        await fits();
        await whenCall(wide, 'ended');
    });
});

describe('from disk', OPTIONS, () => {
    test('it works too', async () => {
        const file = pathToFileURL(join(root, 'static', 'index.html')).href;
        const bob = await signIn('bob', 1);
        const dora = await browser.newPage();
        await dora.goto(`${file}?userId=dora&server=127.0.0.1:${set.port(0)}`);
        await whenLink(dora, 'online');
        await establish(dora, bob, 'bob');

        const eve = await browser.newPage();
        const asked = []; /* and answered here: nothing need be on that port */
        await eve.routeWebSocket(/./, (route) => asked.push(route.url()));
        await eve.goto(`${file}?userId=eve+1`);
        await whenLink(eve, 'online');
        assert.deepEqual(asked, ['ws://127.0.0.1:8080/ws?userId=eve%2B1']);
    });

    test('without the library it says what is missing', async () => {
        const dir = makeDir();
        copyFileSync(join(root, 'static', 'index.html'), join(dir, 'index.html'));
        const page = await browser.newPage();
        await page.goto(pathToFileURL(join(dir, 'index.html')).href);
        await whenNoticed(page, 'switchboard.js');
        removeDir(dir);
    });
});

describe('raw messages', OPTIONS, () => {
    test('the last 200 are kept, and can be copied', async () => {
        const alice = await signIn('alice', 0);
        await alice.context().grantPermissions(['clipboard-read', 'clipboard-write']);
        const flood = await signIn('flood', 1);
        await flood.evaluate(
            (url) =>
                new Promise((resolve) => {
                    const socket = new WebSocket(url);
                    socket.onopen = () => {
                        const candidate = { type: 'call-candidate', to: 'alice' };
                        for (let n = 1; n <= 600; n += 1) {
                            socket.send(JSON.stringify({ ...candidate, n: `n${n}.` }));
                        }
                        resolve();
                    };
                }),
            `${set.wsUrl(1)}/?userId=candidates`,
        );
        const entries = alice.locator('#log-list > li');
        await entries.last().filter({ hasText: '"n600."' }).waitFor();
        assert.equal(await entries.count(), 200);
        assert.match(await entries.first().textContent(), /"n401\."/);
        await alice.getByRole('button', { name: 'Copy' }).click();
        await alice.getByRole('button', { name: 'Copied' }).waitFor();
        const copied = await alice.evaluate(() => navigator.clipboard.readText());
        assert.equal(copied.split('\n').length, 200);
        await alice.getByRole('button', { name: 'Clear' }).click();
        assert.equal(await entries.count(), 0);
    });

    test('one can be sent by hand', async () => {
        const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
        const send = async (text, outcome) => {
            await alice.getByLabel('A message of your own').fill(text);
            await alice.getByRole('button', { name: 'Send', exact: true }).click();
            await alice.locator('#raw-outcome', { hasText: outcome }).waitFor();
        };
        await send('{"type":', 'not JSON');
        await send('[]', 'one JSON object');
        await send('{"type":"call-dance","to":"bob"}', 'does not know that kind');
        await send('{"type":"call-ringing","to":"<b>"}', '<b>');
        await send('{"type":"call-ringing","to":"bob","words":"<i>hello</i>"}', 'Delivered');
        await alice.locator('#log-list li.good').last().click();
        await takePictures(alice, 'raw');
        await bob.locator('#log-list li', { hasText: '<i>hello</i>' }).waitFor();
    });
});
