/* Faults that more than one scenario uses, and what they cost. */
import { now } from './clock.mjs';
import { percentile } from './latencies.mjs';
import { ms } from './report.mjs';

/* The logs of the broker and of the gateways, from now on. */
export function watchLogs(set) {
    const gateways = [...Array(set.count).keys()].map((slot) => set.tail(slot));
    return { broker: set.tail('broker'), gateways };
}

/* Kills the broker as a crash would and waits until every gateway has met the next one. The
 * moments: killed, a new process, ready, all linked. */
export async function killBroker(set, logs) {
    const brokerMark = logs.broker.mark();
    const marks = logs.gateways.map((log) => log.mark());
    const killedAt = now();
    const pid = set.signal('broker', 'SIGKILL');
    const links = logs.gateways.map((log, slot) => log.waitFor(/^info link-up/, marks[slot]));
    const linked = Promise.all(links);
    linked.catch(() => {}); /* awaited below, perhaps never */
    const seenAt = await set.successorOf('broker', pid);
    const readyAt = await logs.broker.waitFor(/^info ready/, brokerMark);
    const linkedAt = Math.max(...(await linked));
    /* A start can be quicker than our look at the processes. */
    return { killedAt, startedAt: Math.min(seenAt, readyAt), readyAt, linkedAt };
}

/* Kills that gateway and waits until its successor serves and all clients are connected. */
export async function killGateway(set, load, slot) {
    const killedAt = now();
    const pid = set.signal(slot, 'SIGKILL');
    await set.successorOf(slot, pid);
    await set.allServe();
    const servesAt = now();
    await load.allConnected();
    return { killedAt, servesAt, connectedAt: now() };
}

/* What most outages took, and the worst. */
export function spread(values) {
    const sorted = Float64Array.from(values).sort();
    return `median ${ms(percentile(sorted, 0.5))}, max ${ms(percentile(sorted, 1))}`;
}

/* The breakdown of outages of the broker, `gaps` being the pauses without a delivery. */
export function showBrokerOutages(report, outages, gaps) {
    const part = (from, to) => spread(outages.map((outage) => outage[to] - outage[from]));
    const worst = gaps.reduce((a, b) => (b.ms > a.ms ? b : a));
    const first = outages.map(({ readyAt }, i) => Math.max(gaps[i].to - readyAt, 0));
    report.figure('broker killed', `${outages.length} times`);
    report.gap('longest gap', worst);
    report.figure('gap', spread(gaps.map((gap) => gap.ms)));
    report.figure('  supervisor', `${part('killedAt', 'startedAt')} (killed to new process)`);
    report.figure('  start', `${part('startedAt', 'readyAt')} (process to "ready")`);
    report.figure('  attach', `${part('readyAt', 'linkedAt')} ("ready" to last "link-up")`);
    report.figure('  first delivery', `${spread(first)} (after "ready")`);
}
