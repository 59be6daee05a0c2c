/* Where things are, and what a program under test gets to see of our environment. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const binDir = process.env.SWITCHBOARD_BIN_DIR ?? join(root, 'build', 'bin');

/* The environment without flags of ours: a test says itself what it wants. */
export function cleanEnvironment() {
    const entries = Object.entries(process.env);
    return Object.fromEntries(entries.filter(([name]) => !name.startsWith('SWITCHBOARD_')));
}
