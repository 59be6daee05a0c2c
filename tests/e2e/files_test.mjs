/* Static files and /healthz over plain HTTP: nothing outside the directory, by no spelling. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { makeDir, plainRequest, removeDir, startSet } from './harness.mjs';

const timeout = 30000;
const SECRET = 'the secret beside the directory';
const FILES = {
    'index.html': ['<!doctype html><title>index</title>', 'text/html; charset=utf-8'],
    'app.js': ['export default 1;', 'text/javascript; charset=utf-8'],
    'style.css': ['b { color: red }', 'text/css; charset=utf-8'],
    'icon.svg': ['<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'],
    'sub/with space.html': ['<!doctype html>sub', 'text/html; charset=utf-8'],
};
const LARGE_BYTES = 3 * 1024 * 1024;

function makeFiles(dir) {
    mkdirSync(join(dir, 'static', 'sub'), { recursive: true });
    writeFileSync(join(dir, 'secret.txt'), SECRET);
    for (const [path, [content]] of Object.entries(FILES)) {
        writeFileSync(join(dir, 'static', path), content);
    }
    writeFileSync(join(dir, 'static', 'empty.html'), '');
    writeFileSync(join(dir, 'static', 'large.js'), Buffer.alloc(LARGE_BYTES, 'large '));
    writeFileSync(join(dir, 'static', '.hidden.html'), SECRET);
    symlinkSync(join(dir, 'secret.txt'), join(dir, 'static', 'link.html'));
    symlinkSync(dir, join(dir, 'static', 'up'));
}

describe('files', () => {
    let set;
    let dir;
    before(async () => {
        dir = makeDir();
        makeFiles(dir);
        set = await startSet({ flags: { 'static-dir': join(dir, 'static') } });
    });
    after(async () => {
        await set.stop();
        removeDir(dir);
    });

    async function request(options) {
        const raw = await set.raw();
        raw.write(plainRequest(options));
        return raw.response();
    }

    for (const [path, [content, type]] of Object.entries(FILES)) {
        test(`serves ${path}`, { timeout }, async () => {
            const { status, headers, body } = await request({ target: `/${encodeURI(path)}` });
            assert.equal(status, 200);
            assert.equal(body.toString(), content);
            assert.equal(headers['content-type'], type);
            assert.equal(headers['content-length'], String(content.length));
            assert.equal(headers['x-content-type-options'], 'nosniff');
            assert.match(headers.etag, /^"[^"]+"$/);
        });
    }

    test('serves the index for /, whatever the query says', { timeout }, async () => {
        for (const target of ['/', '/?userId=alice', '/index.html?a=/../b', '/%69ndex.html']) {
            const { status, body } = await request({ target });
            assert.equal(status, 200, target);
            assert.equal(body.toString(), FILES['index.html'][0]);
        }
    });

    test('serves a large file whole, and an empty one', { timeout }, async () => {
        const large = await request({ target: '/large.js' });
        assert.equal(large.body.length, LARGE_BYTES);
        assert.ok(large.body.equals(Buffer.alloc(LARGE_BYTES, 'large ')));
        const empty = await request({ target: '/empty.html' });
        assert.deepEqual([empty.status, empty.body.length], [200, 0]);
    });

    const nowhere = [
        '/secret.txt',
        '/../secret.txt',
        '/sub/../../secret.txt',
        '/%2e%2e/secret.txt',
        '/%2E%2E%2Fsecret.txt',
        '/..%2fsecret.txt',
        '/%2e%2e%5csecret.txt',
        '/..\\secret.txt',
        '/%252e%252e/secret.txt',
        '/....//secret.txt',
        '/./../secret.txt',
        '//../secret.txt',
        '/..;/secret.txt',
        '/%c0%ae%c0%ae/secret.txt',
        '/sub/..%00/secret.txt',
        '/index.html%00',
        '/index.html%00.js',
        '/index.html/',
        '/index.html/../../secret.txt',
        '/sub',
        '/sub/',
        '//index.html',
        '/./index.html',
        '/.hidden.html',
        '/link.html',
        '/up/secret.txt',
        '/up/static/index.html',
        '/INDEX.HTML',
        '/%',
        '/%zz',
        '/etc/passwd',
        `/${'a/'.repeat(2000)}`,
    ];
    for (const target of nowhere) {
        test(`does not find ${target.slice(0, 40)}`, { timeout }, async () => {
            const { status, body } = await request({ target });
            assert.ok([400, 404].includes(status), `${status}`);
            assert.ok(!body.includes(SECRET) && !body.includes('root:'));
        });
    }

    test('HEAD gives the head alone', { timeout }, async () => {
        const get = await request({ target: '/app.js' });
        const { status, headers, body } = await request({ method: 'HEAD', target: '/app.js' });
        assert.equal(status, 200);
        assert.equal(body.length, 0);
        assert.deepEqual(headers, get.headers);
    });

    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'get', 'X']) {
        test(`${method} is not allowed`, { timeout }, async () => {
            for (const target of ['/', '/nowhere']) {
                const { status, headers } = await request({ method, target });
                assert.ok(status === 405 || (status === 404 && target === '/nowhere'));
                assert.ok(status === 404 || headers.allow === 'GET, HEAD');
            }
        });
    }

    test('an ETag that still fits gets 304', { timeout }, async () => {
        const { headers } = await request({ target: '/app.js' });
        const fitting = [headers.etag, `"x", ${headers.etag}`, `W/${headers.etag}`, '*'];
        for (const tag of fitting) {
            const answer = await request({ target: '/app.js', headers: { 'If-None-Match': tag } });
            assert.equal(answer.status, 304, tag);
            assert.equal(answer.body.length, 0);
            assert.equal(answer.headers.etag, headers.etag);
        }
        for (const tag of ['"x"', headers.etag.replaceAll('"', ''), '']) {
            const answer = await request({ target: '/app.js', headers: { 'If-None-Match': tag } });
            assert.equal(answer.status, 200, tag);
        }
    });

    test('ETags differ with the content', { timeout }, async () => {
        const tags = await Promise.all(
            Object.keys(FILES).map(async (path) => {
                return (await request({ target: `/${encodeURI(path)}` })).headers.etag;
            }),
        );
        assert.equal(new Set(tags).size, tags.length);
    });

    test('/healthz says that all is well', { timeout }, async () => {
        const { status, headers, body } = await request({ target: '/healthz' });
        assert.equal(status, 200);
        assert.equal(headers['content-type'], 'application/json');
        assert.equal(JSON.parse(body).status, 'ok');
        const head = await request({ method: 'HEAD', target: '/healthz' });
        assert.deepEqual([head.status, head.body.length], [200, 0]);
        assert.equal((await request({ method: 'POST', target: '/healthz' })).status, 405);
    });

    test('the page that ships is served', { timeout }, async () => {
        const shipped = await startSet();
        try {
            const response = await fetch(`${shipped.httpUrl()}/`);
            assert.equal(response.status, 200);
            assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
            assert.match(await response.text(), /<title>/);
        } finally {
            await shipped.stop();
        }
    });
});
