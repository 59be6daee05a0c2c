/* Runs a case again and again, on servers started afresh, the yardstick between any two of them. */
import { startServer } from './servers.mjs';
import { orderOf, summaryOf } from './statistics.mjs';

/* A server for the time of `use`, whose answer is returned. */
export async function withServer(name, options, use) {
    const server = await startServer(name, options);
    try {
        return await use(server);
    } finally {
        await server.stop();
    }
}

/* `say` is told of each run. */
export async function measure({ run }, subjects, options, say) {
    const runs = [];
    for (const server of orderOf(subjects, options.repeats)) {
        const figures = await withServer(server, {}, (started) => run(started, options));
        runs.push({ server, figures });
        say(server, figures);
    }
    return summaryOf(runs);
}
