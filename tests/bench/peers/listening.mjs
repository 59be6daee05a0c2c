/* What the peers have in common: they say where they listen as our own programs do, and end well. */

export function listening(port) {
    console.error(`info listening address=127.0.0.1:${port}`);
}

process.once('SIGTERM', () => process.exit(0));
