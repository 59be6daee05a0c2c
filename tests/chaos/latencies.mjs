/* When messages were sent and how long they took; and the pauses in which none arrived. */

/* A pause is worth remembering from here on: shorter ones lie between any two messages. */
export const GAP_MIN_MS = 20;

export function percentile(sorted, part) {
    const index = Math.min(Math.ceil(sorted.length * part), sorted.length) - 1;
    return sorted.length === 0 ? NaN : sorted[Math.max(index, 0)];
}

export class Latencies {
    constructor() {
        this.sentAt = [];
        this.tookMs = [];
        this.isApart = [];
        this.gaps = [];
        this.lastAt = null;
    }

    /* `isApart`: neither end of it is on a gateway that is being maltreated. */
    add(sentAt, receivedAt, isApart) {
        this.sentAt.push(sentAt);
        this.tookMs.push(receivedAt - sentAt);
        this.isApart.push(isApart);
        if (this.lastAt !== null && receivedAt - this.lastAt >= GAP_MIN_MS) {
            this.gaps.push({ from: this.lastAt, to: receivedAt });
        }
        this.lastAt = receivedAt;
    }

    /* Of what was sent between the two moments, however late it came. */
    summary({ from = -Infinity, to = Infinity, apartOnly = false } = {}) {
        const took = this.tookMs.filter((_, i) => {
            const isWithin = this.sentAt[i] >= from && this.sentAt[i] < to;
            return isWithin && (!apartOnly || this.isApart[i]);
        });
        return summaryOf(took);
    }

    /* The same outside the windows, [{ from, to }]. */
    summaryOutside(windows) {
        const isIn = (at) => windows.some(({ from, to }) => at >= from && at < to);
        return summaryOf(this.tookMs.filter((_, i) => !isIn(this.sentAt[i])));
    }

    /* The longest pause that touches the time between the two moments. */
    longestGap({ from = -Infinity, to = Infinity } = {}) {
        const touching = this.gaps.filter((gap) => gap.to > from && gap.from < to);
        const longest = touching.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a), {
            from: 0,
            to: 0,
        });
        return { ...longest, ms: longest.to - longest.from };
    }
}

function summaryOf(took) {
    const sorted = Float64Array.from(took).sort();
    return {
        count: sorted.length,
        p50: percentile(sorted, 0.5),
        p99: percentile(sorted, 0.99),
        max: percentile(sorted, 1),
    };
}
