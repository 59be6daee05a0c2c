/* What a message costs, and a connection takes, by how many users are connected and do nothing: one
 * server, to which more and more of them connect. */
import { load, memoryOf } from './cases.mjs';
import { hold, warmUp } from './generator.mjs';
import { SESSIONS_A_GATEWAY } from './recovery.mjs';
import { withServer } from './rounds.mjs';
import { YARDSTICK, spread } from './statistics.mjs';

const POINTS = [1000, 5000, 18000, 50000, 100000, 200000];
const POINTS_QUICK = [1000, 5000];
const CALLING = { pairs: 100, 'in-flight': 1 };
/* Users that call, with room to spare; those that do nothing are numbered behind them. */
const CALLERS_MAX = 1000;
/* Each round connects hundreds of thousands: more than these would tell nothing more. */
const REPEATS_MAX = 3;

/* What `look` finds at each of the points, on a server of its own: { [users]: figures }. */
async function measurePoints({ name, options }, points, look) {
    return withServer(name, options, async (server) => {
        const found = {};
        await warmUp(server);
        const before = memoryOf(server);
        for (const [i, users] of points.entries()) {
            const others = points[i - 1] ?? 0;
            await hold(server, users - others, { others, firstUser: CALLERS_MAX + others });
            found[users] = await look(server, users, before);
        }
        return found;
    });
}

/* Memory is looked at where nobody has called yet: what messages need is not the connections'. */
async function measureRound(server, points, options, say) {
    const memory = await measurePoints(server, points, (started, users, before) => {
        const bytes = (memoryOf(started) - before) / users;
        say(`${server.name}, ${users} users`, { bytes });
        return { bytes };
    });
    const cost = await measurePoints(server, points, async (started, users) => {
        const figures = await load(CALLING)(started, options);
        say(`${server.name}, ${users} users`, figures);
        return figures;
    });
    return Object.fromEntries(points.map((users) => [users, { ...cost[users], ...memory[users] }]));
}

/* { [server]: [{ users, cpuUs, bytes, growth }] }: growth is the cost as a multiple of the cost at
 * the first point of the same round. */
function pointsOf(rounds) {
    return Object.keys(rounds[0]).map((users) => {
        const column = (valueOf) => spread(rounds.map((round) => valueOf(round[users], round)));
        const first = ({ [POINTS[0]]: point }) => point.cpuUs;
        return {
            users: Number(users),
            cpuUs: column(({ cpuUs }) => cpuUs),
            bytes: column(({ bytes }) => bytes),
            growth: column(({ cpuUs }, round) => cpuUs / first(round)),
        };
    });
}

export async function measureUsers(subjects, options, say) {
    const points = options.isQuick ? POINTS_QUICK : POINTS;
    const gateways = Math.max(2, Math.ceil((points.at(-1) + CALLERS_MAX) / SESSIONS_A_GATEWAY));
    const rounds = {};
    for (let i = 0; i < Math.min(options.repeats, REPEATS_MAX); i++) {
        for (const name of [YARDSTICK, ...subjects]) {
            const isMany = name === 'switchboard';
            const own = points.filter(
                (users) => isMany || users + CALLERS_MAX <= SESSIONS_A_GATEWAY,
            );
            const server = { name, options: { gateways, samePort: false } };
            rounds[name] ??= [];
            rounds[name].push(await measureRound(server, own, options, say));
        }
    }
    const entries = Object.entries(rounds).map(([name, each]) => [name, pointsOf(each)]);
    return { gateways, servers: Object.fromEntries(entries) };
}
