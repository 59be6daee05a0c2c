/* The documents against the programs: what they promise is there, and what is there is promised. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const binDir = process.env.SWITCHBOARD_BIN_DIR ?? `${root}build/bin`;
const read = (path) => readFileSync(root + path, 'utf8');

/* The flags of a program as its --help names them: [flag, unit, default]. */
function flagsOf(program) {
    const help = execFileSync(`${binDir}/${program}`, ['--help'], { encoding: 'utf8' });
    const flags = /^ {2}--(\S+) (\S+)\n {6}(.*?) \((?:default (.*)|(required))\)$/gm;
    return [...help.matchAll(flags)].map(([, flag, unit, , value, required]) => [
        flag,
        unit,
        required ?? value,
    ]);
}

/* The rows of README's table for a program, in the same form. */
function rowsOf(program) {
    const begin = read('README.md').split(`\n\`${program}\``)[1];
    assert.ok(begin, `README has no table for ${program}`);
    const rows = /^\| `--(\S+)` \| (\S+) \| .* \| `?([^`|]+?)`? \|$/gm;
    return [...begin.split('\n\n')[1].matchAll(rows)].map(([, flag, unit, value]) => [
        flag,
        unit,
        value,
    ]);
}

describe('README', () => {
    for (const program of ['switchboard-gateway', 'switchboard-broker', 'ws-echo']) {
        test(`names every flag of ${program}, with its unit and default`, () => {
            const flags = flagsOf(program);
            assert.ok(flags.length >= 2);
            assert.deepEqual(rowsOf(program), flags);
        });
    }
});

describe('PROTOCOL.md', () => {
    const protocol = read('PROTOCOL.md');

    test('names every error code', () => {
        const rows = [...read('common/outcomes.def').matchAll(/^OUTCOME\(\w+, "([^"]+)"/gm)];
        const codes = rows.map(([, code]) => code).filter((code) => code !== 'delivered');
        assert.ok(codes.length >= 7);
        assert.deepEqual(codes.filter((code) => !protocol.includes(`| \`${code}\` |`)), []);
    });

    test('names every type of message', () => {
        const types = [...read('common/call_types.def').matchAll(/^CALL_TYPE\(\w+, "([^"]+)"/gm)];
        assert.ok(types.length >= 9);
        assert.deepEqual(types.filter(([, type]) => !protocol.includes(`\`${type}\``)), []);
    });

    test('names every close code that the server sends', () => {
        const codes = [...read('common/close_code.h').matchAll(/= (\d{4}),/g)].map(([, c]) => c);
        assert.ok(codes.length >= 9);
        const sent = codes.filter((code) => code !== '1005');
        assert.deepEqual(sent.filter((code) => !protocol.includes(`| ${code} |`)), []);
    });
});
