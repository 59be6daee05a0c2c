/* Medians with their spread, and ratios to what was measured in the same minutes. */

export const YARDSTICK = 'yardstick';

export function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/* { median, min, max, count } of the numbers among the values; null when there is none. */
export function spread(values) {
    const numbers = values.filter(Number.isFinite);
    if (numbers.length === 0) {
        return null;
    }
    const [min, max] = [Math.min(...numbers), Math.max(...numbers)];
    return { median: median(numbers), min, max, count: numbers.length };
}

/* In which order the servers are run: the yardstick before and after each other one, so that what
 * the machine does meanwhile happens to both. */
export function orderOf(subjects, repeats) {
    const rounds = Array.from({ length: repeats }, () => subjects);
    return [YARDSTICK, ...rounds.flat().flatMap((subject) => [subject, YARDSTICK])];
}

/* Of the runs, [{ server, figures }] in their order: a figure of each run of the server, divided by
 * the mean of the yardstick's right before and right after. */
export function ratiosOf(runs, server, figure) {
    return runs.flatMap((run, i) => {
        const neighbours = [runs[i - 1], runs[i + 1]].filter((each) => each?.server === YARDSTICK);
        if (run.server !== server || neighbours.length === 0) {
            return [];
        }
        const sum = neighbours.reduce((total, { figures }) => total + figures[figure], 0);
        return [run.figures[figure] / (sum / neighbours.length)];
    });
}

/* All that a case has found: for each server the spread of each figure, and of its ratios to the
 * yardstick: { [server]: { figures: { [figure]: spread }, ratios: { [figure]: spread } } }. */
export function summaryOf(runs) {
    const servers = [...new Set(runs.map(({ server }) => server))];
    return Object.fromEntries(
        servers.map((server) => {
            const own = runs.filter((run) => run.server === server);
            const names = Object.keys(own[0].figures);
            const spreads = (valuesOf) =>
                Object.fromEntries(names.map((name) => [name, spread(valuesOf(name))]));
            return [
                server,
                {
                    figures: spreads((name) => own.map(({ figures }) => figures[name])),
                    ratios: spreads((name) => ratiosOf(runs, server, name)),
                },
            ];
        }),
    );
}
