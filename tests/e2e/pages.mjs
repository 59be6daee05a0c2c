/* The telephone page in a real browser, for the suites: Chromium with an artificial camera and
 * microphone, pages of contexts of their own, and what can be waited for in them. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--allow-loopback-in-peer-connection',
    '--disable-features=WebRtcHideLocalIpsWithMdns',
];
const PATIENCE_MS = 15_000;
const SCREENSHOTS = process.env.PAGE_SCREENSHOTS; /* a directory */
const SHAPES = { wide: { width: 1280, height: 800 }, narrow: { width: 320, height: 640 } };

/* Runs in each page before anything else. `peers`: its peer connections; `seen`: each state that
 * its line and its call had, and when. A state may last no longer than a moment. */
function observe() {
    window.peers = [];
    const Original = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Original {
        constructor(...options) {
            super(...options);
            window.peers.push(this);
        }
    };
    window.seen = [];
    const note = () => {
        for (const what of ['link', 'call']) {
            const state = document.body?.dataset[what];
            const last = window.seen.findLast((each) => each.what === what);
            if (state !== undefined && state !== last?.state) {
                window.seen.push({ what, state, at: Date.now() });
            }
        }
        window.dispatchEvent(new Event('seen'));
    };
    const attributeFilter = ['data-link', 'data-call'];
    new MutationObserver(note).observe(document, { attributeFilter, subtree: true });
}

export class Browser {
    #browser;
    #contexts = [];
    #mistakes = []; /* exceptions and blocked markup in any page of the current test */

    static async launch(flags = []) {
        const made = new Browser();
        made.#browser = await chromium.launch({
            executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
            args: [...FLAGS, ...flags],
        });
        return made;
    }

    async close() {
        await this.#browser.close();
    }

    /* Closes the pages of a test, and checks that none of them stumbled. */
    async closePages() {
        await Promise.all(this.#contexts.splice(0).map((context) => context.close()));
        assert.deepEqual(this.#mistakes.splice(0), []);
    }

    /* A page of its own context, so that nobody shares storage with anybody. `prepare` runs in it
     * before its own script, with `argument`. */
    async newPage({ prepare, argument, ...options } = {}) {
        const context = await this.#browser.newContext(options);
        this.#contexts.push(context);
        await context.addInitScript(observe);
        if (prepare) {
            await context.addInitScript(prepare, argument);
        }
        const page = await context.newPage();
        page.setDefaultTimeout(PATIENCE_MS);
        page.on('pageerror', (error) => this.#mistakes.push(error.message));
        page.on('console', (message) => {
            if (/Content Security Policy|Trusted/.test(message.text())) {
                this.#mistakes.push(message.text());
            }
        });
        return page;
    }

    /* A page that is online, at the gateway with this address. */
    async signIn(httpUrl, name, { device, ...options } = {}) {
        const page = await this.newPage(options);
        const onDevice = device === undefined ? '' : `&deviceId=${encodeURIComponent(device)}`;
        await page.goto(`${httpUrl}/?userId=${encodeURIComponent(name)}${onDevice}`);
        await whenLink(page, 'online');
        return page;
    }
}

export const whenLink = (page, state) => page.locator(`body[data-link="${state}"]`).waitFor();
export const whenCall = (page, state) => page.locator(`body[data-call="${state}"]`).waitFor();
export const whenNoticed = (page, words) => page.locator('#notice', { hasText: words }).waitFor();
export const whenOver = (page, words) => page.locator('#over-words', { hasText: words }).waitFor();
export const whenStaged = (page, words) =>
    page.locator('#call-notices .notice', { hasText: words }).waitFor();

/* The next state of that kind behind `mark`, even if it was there for a moment only: when it
 * began, in ms since 1970. */
export const whenSeen = (page, what, state, mark = 0) =>
    page.evaluate(
        ([kind, wanted, from]) =>
            new Promise((resolve) => {
                const look = () => {
                    const found = window.seen
                        .slice(from)
                        .find((each) => each.what === kind && each.state === wanted);
                    if (found) {
                        window.removeEventListener('seen', look);
                        resolve(found.at);
                    }
                };
                window.addEventListener('seen', look);
                look();
            }),
        [what, state, mark],
    );

/* A place in what was seen; whenSeen then looks behind it only. */
export const markSeen = (page) => page.evaluate(() => window.seen.length);

/* The title takes turns; waitForFunction would need an eval, which the page's policy forbids. */
export const whenTitled = (page, words) =>
    page.evaluate(
        (wanted) =>
            new Promise((resolve) => {
                const look = () =>
                    document.title.includes(wanted) ? resolve() : requestAnimationFrame(look);
                look();
            }),
        words,
    );

export async function dial(page, name, { video = false } = {}) {
    await page.locator('#callee').fill(name);
    await page.locator(video ? '#dial-video' : '#dial-voice').click();
}

/* A call that both hold. */
export async function establish(caller, callee, name, options) {
    await dial(caller, name, options);
    await callee.locator('#accept').click();
    await Promise.all([whenCall(caller, 'connected'), whenCall(callee, 'connected')]);
}

/* The first part of a session id names the gateway that holds the session. */
export async function gatewayOf(page) {
    const shown = page.locator('#session', { hasText: /^Session [0-9a-f]+-[0-9a-f]+$/ });
    return (await shown.textContent()).replace('Session ', '').split('-')[0];
}

/* What has arrived so far from the other side. */
export const received = (page) =>
    page.evaluate(async () => {
        const reports = [...(await window.peers.at(-1).getStats()).values()];
        const inbound = (kind) =>
            reports.find((each) => each.type === 'inbound-rtp' && each.kind === kind);
        return {
            frames: inbound('video')?.framesDecoded ?? 0,
            energy: inbound('audio')?.totalAudioEnergy ?? 0,
        };
    });

/* Waits until more has arrived than before. There is no event for that. */
export async function whenFlowing(page, kinds = ['frames', 'energy']) {
    const before = await received(page);
    for (;;) {
        const now = await received(page);
        if (kinds.every((kind) => now[kind] > before[kind])) {
            return now;
        }
        await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)));
    }
}

/* Pictures of the page as it is now, for people to look at: light and dark, wide and narrow. */
export async function takePictures(page, name) {
    if (SCREENSHOTS === undefined) {
        return;
    }
    mkdirSync(SCREENSHOTS, { recursive: true });
    const before = page.viewportSize();
    for (const [shape, size] of Object.entries(SHAPES)) {
        await page.setViewportSize(size);
        for (const colorScheme of ['light', 'dark']) {
            await page.emulateMedia({ colorScheme });
            await page.screenshot({ path: join(SCREENSHOTS, `${name}-${shape}-${colorScheme}.png`) });
        }
    }
    await page.emulateMedia({ colorScheme: null });
    await page.setViewportSize(before);
}
