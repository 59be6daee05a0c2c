// The demo page in a real browser, against a real broker and two gateways: alice's pages talk to
// the first gateway, bob's to the second, so every call here crosses the broker.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { root, startSet } from './harness.mjs';

const OPTIONS = { timeout: 60_000 };
const CHROMIUM_FLAGS = [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

let set;
let browser;
let contexts = [];
let mistakes = []; // exceptions and blocked markup in any page of the current test

before(async () => {
    set = await startSet({ gateways: 2 });
    browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: CHROMIUM_FLAGS,
    });
}, OPTIONS);

after(async () => {
    await browser?.close();
    await set?.stop();
}, OPTIONS);

afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    assert.deepEqual(mistakes.splice(0), []);
});

const home = (gateway) => `${set.httpUrl(gateway)}/`;

// A page of its own browser context, so that nobody shares storage with anybody.
async function newPage(options = {}) {
    const context = await browser.newContext(options);
    contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (error) => mistakes.push(error.message));
    page.on('console', (message) => {
        if (/Content Security Policy|Trusted/.test(message.text())) mistakes.push(message.text());
    });
    return page;
}

const whenLink = (page, state) => page.locator(`body[data-link="${state}"]`).waitFor();
const whenCall = (page, state) => page.locator(`body[data-call="${state}"]`).waitFor();
const whenSaid = (page, words) => page.locator('#notice', { hasText: words }).waitFor();

// The title takes turns; waitForFunction would need an eval, which the page's policy forbids.
const whenTitled = (page, words) => page.evaluate((wanted) => new Promise((resolve) => {
    const look = () => (document.title.includes(wanted) ? resolve() : requestAnimationFrame(look));
    look();
}), words);

async function signIn(name, gateway, options) {
    const page = await newPage(options);
    await page.goto(`${home(gateway)}?userId=${encodeURIComponent(name)}`);
    await whenLink(page, 'online');
    return page;
}

async function dial(page, name) {
    await page.locator('#callee').fill(name);
    await page.keyboard.press('Enter');
}

async function establish(caller, callee, name) {
    await dial(caller, name);
    await callee.locator('#accept').click();
    await Promise.all([whenCall(caller, 'in-call'), whenCall(callee, 'in-call')]);
}

// The first part of a session id names the gateway that holds the session.
async function gatewayOf(page) {
    const shown = page.locator('#session', { hasText: /^Session [0-9a-f]+-[0-9a-f]+$/ });
    return (await shown.textContent()).replace('Session ', '').split('-')[0];
}

test('a call is accepted across two gateways, and hung up', OPTIONS, async () => {
    const alice = await newPage();
    await alice.goto(home(0));
    await alice.getByLabel('Your name').fill('alice');
    await alice.keyboard.press('Enter');
    await whenLink(alice, 'online');
    const bob = await signIn('bob', 1);
    assert.equal(await alice.locator('#my-name').textContent(), 'alice');
    assert.equal(await alice.locator('#link-state').textContent(), 'Connected');
    assert.notEqual(await gatewayOf(alice), await gatewayOf(bob));

    await dial(alice, 'bob');
    await whenCall(bob, 'incoming');
    assert.match(await bob.getByRole('dialog').innerText(), /alice\s+is calling/);
    await whenTitled(bob, 'alice is calling');
    assert.equal(await bob.evaluate(() => document.activeElement.id), 'accept');
    await whenCall(alice, 'ringing-out');

    await bob.keyboard.press('Enter');
    await Promise.all([whenCall(alice, 'in-call'), whenCall(bob, 'in-call')]);
    assert.equal(await bob.getByRole('dialog').count(), 0);
    await alice.locator('#timer', { hasText: /^0:0[1-9]$/ }).waitFor();

    await alice.getByRole('button', { name: 'Hang up' }).click();
    await whenSaid(bob, /alice.* hung up/);
    await Promise.all([whenCall(alice, 'idle'), whenCall(bob, 'idle')]);
    await alice.locator('#log-list li.good', { hasText: 'call-start' }).waitFor();
    await alice.locator('#log-list li.good', { hasText: 'call-end' }).waitFor();
});

test('a call is rejected', OPTIONS, async () => {
    const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
    await dial(alice, 'bob');
    await bob.getByRole('button', { name: 'Reject' }).click();
    await whenSaid(alice, /bob.* declined/);

    await dial(alice, 'bob');
    await whenCall(bob, 'incoming');
    await bob.keyboard.press('Escape');
    await whenCall(bob, 'idle');
    await whenSaid(alice, /bob.* declined/);
});

test('a call is cancelled', OPTIONS, async () => {
    const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
    await dial(alice, 'bob');
    await whenCall(bob, 'incoming');
    await alice.keyboard.press('Escape');
    await whenCall(alice, 'idle');
    await whenSaid(bob, /missed a call from .*alice/);
    assert.equal(await bob.getByRole('dialog').count(), 0);
});

test('whoever is in a call is busy, and stays in it', OPTIONS, async () => {
    const [alice, bob, carol] =
        [await signIn('alice', 0), await signIn('bob', 1), await signIn('carol', 0)];
    await establish(alice, bob, 'bob');
    await dial(carol, 'bob');
    await whenSaid(carol, /bob.* is busy/);
    await whenSaid(bob, /carol.* called while you were busy/);
    await Promise.all([whenCall(alice, 'in-call'), whenCall(bob, 'in-call')]);
    assert.equal(await bob.locator('#peer-name').textContent(), 'alice');
});

test('leaving the page ends its call', OPTIONS, async () => {
    const [alice, bob] = [await signIn('alice', 0), await signIn('bob', 1)];
    await establish(alice, bob, 'bob');
    await alice.goto('about:blank');
    await whenSaid(bob, /alice.* hung up/);
});

test('errors are said in words', OPTIONS, async () => {
    const alice = await signIn('alice', 0);
    await dial(alice, 'nobody-here');
    await whenSaid(alice, /nobody-here.* is not connected/);
    await whenCall(alice, 'idle');
    await alice.locator('#log-list li.bad', { hasText: 'user-offline' }).waitFor();
    await dial(alice, 'alice');
    await whenSaid(alice, 'That is you');
    await dial(alice, 'ü'.repeat(65));
    await whenSaid(alice, 'too long');
});

test('a replaced page says so and stays away', OPTIONS, async () => {
    const first = await newPage();
    const sockets = [];
    first.on('websocket', (socket) => sockets.push(socket.url()));
    await first.clock.install();
    await first.goto(`${home(0)}?userId=alice`);
    await whenLink(first, 'online');

    const second = await signIn('alice', 1);
    await first.locator('#trouble', { hasText: 'connected somewhere else' }).waitFor();
    await whenLink(first, 'away');
    await first.clock.runFor(120_000); // any retry would have come by then
    assert.equal(sockets.length, 1);
    assert.equal(await second.locator('body').getAttribute('data-link'), 'online');

    await first.getByRole('button', { name: 'Reconnect' }).click();
    await whenLink(second, 'away');
    await whenLink(first, 'online');
});

test('a page comes back after 1001 and 4001, and its call goes on', OPTIONS, async () => {
    const alice = await newPage();
    const routes = [];
    await alice.routeWebSocket(/userId=alice/, (route) => {
        routes.push(route);
        route.connectToServer();
    });
    await alice.goto(`${home(0)}?userId=alice`);
    await whenLink(alice, 'online');
    const bob = await signIn('bob', 1);
    await establish(alice, bob, 'bob');

    await routes[0].close({ code: 1001 });
    await alice.locator('#trouble', { hasText: 'restarting' }).waitFor();
    await whenLink(alice, 'online');
    await routes[1].close({ code: 4001 });
    await whenLink(alice, 'waiting');
    await whenLink(alice, 'online');
    assert.equal(routes.length, 3);
    await whenCall(alice, 'in-call');
    await alice.getByRole('button', { name: 'Hang up' }).click();
    await whenSaid(bob, /alice.* hung up/);
});

test('a goodbye said between two connections still arrives', OPTIONS, async () => {
    const alice = await newPage();
    const routes = [];
    await alice.routeWebSocket(/userId=alice/, (route) => {
        routes.push(route);
        route.connectToServer();
    });
    await alice.goto(`${home(0)}?userId=alice`);
    await whenLink(alice, 'online');
    const bob = await signIn('bob', 1);
    await establish(alice, bob, 'bob');

    await alice.clock.install();
    await alice.clock.pauseAt(Date.now() + 1000); // so that no retry comes by itself
    await routes[0].close({ code: 1001 });
    await whenLink(alice, 'waiting');
    await alice.getByRole('button', { name: 'Hang up' }).click();
    await whenCall(alice, 'idle');
    await whenCall(bob, 'in-call');
    await alice.getByRole('button', { name: 'Try now' }).click();
    await whenSaid(bob, /alice.* hung up/);
});

test('a name that is markup stays text', OPTIONS, async () => {
    const markup = '<img src=x onerror="window.owned=1"><b id=forged>';
    const [mallory, bob] = [await signIn(markup, 0), await signIn('bob', 1)];
    await dial(mallory, 'bob');
    await whenCall(bob, 'incoming');
    assert.equal(await bob.locator('#caller-name').textContent(), markup);
    await bob.getByRole('button', { name: 'Accept' }).click();
    await whenCall(mallory, 'in-call');
    await mallory.getByRole('button', { name: 'Hang up' }).click();
    await whenSaid(bob, markup);
    await bob.locator('#recent-list', { hasText: markup }).waitFor();
    for (const page of [mallory, bob]) {
        assert.equal(await page.locator('img, #forged').count(), 0);
        assert.equal(await page.evaluate(() => window.owned), undefined);
    }
});

test('opened as a file it works too', OPTIONS, async () => {
    const file = pathToFileURL(join(root, 'static', 'index.html')).href;
    const bob = await signIn('bob', 1);
    const dora = await newPage();
    await dora.goto(`${file}?userId=dora&server=127.0.0.1:${set.port(0)}`);
    await whenLink(dora, 'online');
    await establish(dora, bob, 'bob');

    const eve = await newPage();
    const asked = []; // and answered here: nothing need be on that port
    await eve.routeWebSocket(/./, (route) => asked.push(route.url()));
    await eve.goto(`${file}?userId=eve+1`);
    await whenLink(eve, 'online');
    assert.deepEqual(asked, ['ws://127.0.0.1:8080/ws?userId=eve%2B1']);
});

test('the longest name fits the narrowest screen', OPTIONS, async () => {
    const name = 'W'.repeat(128);
    const narrow = { viewport: { width: 320, height: 640 } };
    const [wide, slim] = [await signIn(name, 0), await signIn('slim', 1, narrow)];
    const overflow = () => slim.evaluate(() =>
        document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await slim.getByText('Messages on the wire').click();
    assert.equal(await overflow(), 0);
    await dial(wide, 'slim');
    await whenCall(slim, 'incoming');
    assert.equal(await overflow(), 0);
    await slim.getByRole('button', { name: 'Accept' }).click();
    await whenCall(slim, 'in-call');
    assert.equal(await overflow(), 0);
    await slim.getByRole('button', { name: 'Hang up' }).click();
    await slim.locator('#recent-list li').waitFor();
    assert.equal(await overflow(), 0);
});

test('the log keeps the last 500 messages and can be copied', OPTIONS, async () => {
    const alice = await signIn('alice', 0);
    await alice.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const flood = await signIn('flood', 1);
    await flood.evaluate((url) => new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => {
            for (let n = 1; n <= 600; n += 1) {
                socket.send(JSON.stringify({ type: 'call-candidate', to: 'alice', n: `n${n}.` }));
            }
            resolve();
        };
    }), `${set.wsUrl(1)}/?userId=candidates`);

    const entries = alice.locator('#log-list li');
    await entries.last().filter({ hasText: '"n600."' }).waitFor();
    assert.equal(await entries.count(), 500);
    assert.match(await entries.first().textContent(), /"n101\."/);
    await alice.getByRole('button', { name: 'Copy' }).click();
    await alice.getByRole('button', { name: 'Copied' }).waitFor();
    const copied = await alice.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied.split('\n').length, 500);
    await alice.getByRole('button', { name: 'Clear' }).click();
    assert.equal(await entries.count(), 0);
});
