/* Which charts the results make: { [file name]: SVG }. */
import { lineChart } from './plot.mjs';
import { titleOf } from './servers.mjs';

const COLORS = { yardstick: 0, switchboard: 1, ws: 2, peerjs: 3, uws: 4 };

function point(x, spread, factor = 1) {
    const { median, min, max } = spread;
    return { x, y: median * factor, min: min * factor, max: max * factor };
}

/* A line a server, of a figure of a row whose cases are numbers. */
function byCase(cases, figure, isDashed = false) {
    const names = Object.keys(Object.values(cases)[0]);
    return names.map((name) => ({
        name: titleOf(name),
        color: COLORS[name],
        isDashed,
        points: Object.entries(cases)
            .filter(([, servers]) => servers[name]?.figures[figure])
            .map(([key, servers]) => point(Number(key), servers[name].figures[figure])),
    }));
}

function plotRates(cases) {
    return {
        'cost-by-load.svg': lineChart({
            title: 'CPU of all server processes for a message',
            xLabel: 'messages a second, 100 pairs',
            yLabel: 'µs',
            series: byCase(cases, 'cpuUs'),
        }),
        'latency-by-load.svg': lineChart({
            title: 'Latency from the intended time of sending: p50, and p99 dashed',
            xLabel: 'messages a second, 100 pairs',
            yLabel: 'µs',
            isLog: true,
            series: [...byCase(cases, 'p50Us'), ...byCase(cases, 'p99Us', true)],
        }),
    };
}

function byUsers(servers, figure) {
    return Object.entries(servers).map(([name, points]) => ({
        name: titleOf(name),
        color: COLORS[name],
        points: points.map((each) => point(each.users, each[figure])),
    }));
}

function plotUsers({ servers }) {
    const xLabel = 'connected users';
    return {
        'cost-by-connections.svg': lineChart({
            title: 'CPU of all server processes for a message',
            xLabel,
            yLabel: 'µs',
            series: byUsers(servers, 'cpuUs'),
        }),
        'memory-by-connections.svg': lineChart({
            title: 'Memory of all server processes for an idle connection',
            xLabel,
            yLabel: 'bytes',
            isLog: true,
            series: byUsers(servers, 'bytes'),
        }),
    };
}

function plotRecovery(points) {
    const series = [
        ['start to routing', 'totalMs', 1],
        ['of these, attaching the sessions', 'attachMs', 3],
    ].map(([name, figure, color]) => ({
        name,
        color,
        points: points.map((each) => point(each.sessions, each[figure])),
    }));
    const title = 'A new broker until it routes for all sessions';
    const labels = { xLabel: 'sessions', yLabel: 'ms', isLog: true };
    return { 'recovery-by-sessions.svg': lineChart({ title, ...labels, series }) };
}

export function plotsOf(results) {
    return {
        ...(results.rates && plotRates(results.rates.result)),
        ...(results.users && plotUsers(results.users.result)),
        ...(results.recovery && plotRecovery(results.recovery.result)),
    };
}
