/* Time that all processes of the machine share, so that what one saw can be held against what
 * another did; and ways to await it. */

/* Milliseconds of the monotonic clock, with fractions. */
export function now() {
    return Number(process.hrtime.bigint()) / 1e6;
}

export async function pass(ms) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(ms, 0)));
}

/* Asks again until `look` answers something true, and returns that. */
export async function eventually(what, look, { patienceMs = 30000, pauseMs = 50 } = {}) {
    const deadline = now() + patienceMs;
    for (;;) {
        const found = await look();
        if (found) {
            return found;
        }
        if (now() > deadline) {
            throw new Error(`time is over: ${what}`);
        }
        await pass(pauseMs);
    }
}

/* Calls `act` every `everyMs` until `forMs` are over; later when the last call takes longer. */
export async function repeatedly(everyMs, forMs, act) {
    const end = now() + forMs;
    let round = 0;
    for (let next = now(); next < end; next = Math.max(next + everyMs, now())) {
        await pass(next - now());
        await act(round++);
    }
    await pass(end - now());
}
