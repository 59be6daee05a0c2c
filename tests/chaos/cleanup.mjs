/* What has to be undone, however the run ends: processes, mounts, directories. */

const tasks = new Set();

/* `task` runs at the end at the latest; call what is returned to run it now. */
export function atEnd(task) {
    tasks.add(task);
    return async () => {
        if (tasks.delete(task)) {
            await task();
        }
    };
}

/* Undoes everything, the latest first. */
export async function cleanUp() {
    for (const task of [...tasks].reverse()) {
        tasks.delete(task);
        await Promise.resolve()
            .then(task)
            .catch((error) => console.error(`clean-up: ${error.message}`));
    }
}

/* A second signal does not wait for the first one's clean-up to be repeated. */
export function cleanUpOnSignals() {
    for (const [signal, number] of [
        ['SIGINT', 2],
        ['SIGTERM', 15],
        ['SIGHUP', 1],
    ]) {
        process.once(signal, () => {
            console.error(`${signal}: cleaning up`);
            cleanUp().finally(() => process.exit(128 + number));
        });
    }
}
