/* scripts/rolling-restart on a set that serves: every process is a new one, and every message has
 * its outcome. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { cleanUp } from '../chaos/cleanup.mjs';
import { Load } from '../chaos/load.mjs';
import { SupervisedSet } from '../chaos/set.mjs';
import { makeDir, removeDir } from './harness.mjs';
import { script } from './supervised.mjs';

const timeout = 120000;
const GOING_AWAY = '1001';

describe('scripts/rolling-restart', () => {
    after(cleanUp);

    test('replaces every process while messages flow', { timeout }, async () => {
        const set = await SupervisedSet.start({ gateways: 2 });
        const load = await Load.start({ url: set.url, clients: 20, rate: 200 });
        const before = set.pids();
        const instances = await set.allServe();
        const { status, output } = await script('rolling-restart', '--run-dir', set.dir);
        assert.equal(status, 0, output);
        assert.match(output, /^gateway 0: .*\ngateway 1: .*\nbroker: .*\n$/);

        const now = set.pids();
        assert.equal(now.length, before.length);
        assert.deepEqual(
            now.filter((pid) => before.includes(pid)),
            [],
        );
        const successors = await set.allServe();
        assert.equal(
            successors.some((instance) => instances.includes(instance)),
            false,
        );

        await load.allConnected();
        const result = await load.finish();
        assert.deepEqual(result.violations, {});
        assert.ok(result.acked > 0);
        assert.deepEqual(Object.keys(result.dropped), [GOING_AWAY]);
        await load.end();
        assert.deepEqual(set.reports(), []);
        await set.stop();
    });

    test('says what is wrong', { timeout }, async () => {
        const dir = makeDir();
        const nothing = await script('rolling-restart', '--run-dir', dir);
        assert.equal(nothing.status, 1);
        assert.match(nothing.output, /no set runs in/);
        const wrong = await script('rolling-restart', '--what');
        assert.equal(wrong.status, 2);
        assert.match(wrong.output, /^usage: scripts\/rolling-restart/);
        removeDir(dir);
    });
});
