/* Real sets under a load of verified messages, while faults are injected; see scripts/chaos. */
import { parseArgs } from 'node:util';

import { cleanUp, cleanUpOnSignals } from './cleanup.mjs';
import { Report, printTable } from './report.mjs';
import { scenario as brokerKill } from './scenarios/broker_kill.mjs';
import { scenario as cutLinks } from './scenarios/cut_links.mjs';
import { scenario as descriptors } from './scenarios/descriptors.mjs';
import { scenario as diskFull } from './scenarios/disk_full.mjs';
import { scenario as freezeBroker } from './scenarios/freeze_broker.mjs';
import { scenario as freezeGateway } from './scenarios/freeze_gateway.mjs';
import { scenario as gatewayKill } from './scenarios/gateway_kill.mjs';
import { scenario as memory } from './scenarios/memory.mjs';
import { scenario as quick } from './scenarios/quick.mjs';
import { scenario as resetClients } from './scenarios/reset_clients.mjs';
import { scenario as rollingRestart } from './scenarios/rolling_restart.mjs';

const SCENARIOS = [
    brokerKill,
    gatewayKill,
    freezeGateway,
    freezeBroker,
    cutLinks,
    diskFull,
    descriptors,
    resetClients,
    rollingRestart,
    memory,
];

function usage() {
    const rows = SCENARIOS.map(
        ({ name, about, seconds }) => `  ${name.padEnd(17)} ${about} (${seconds} s)`,
    );
    return `usage: scripts/chaos [SCENARIO...] [--seconds N] [--rate N] [--gateways N] [--quick]

Starts sets of its own under supervisord and injects faults while clients send messages that are
checked one by one: exactly one outcome, no message twice, in order, unaltered, none lost. All
scenarios, or those that are named:

${rows.join('\n')}

  --seconds N   how long the fault lasts, or is repeated (default: as above)
  --rate N      messages a second, of all clients together (default: 5000)
  --clients N   clients, an even number (default: 200)
  --gateways N  gateways of the set (default: 2 or 3, as the scenario needs)
  --quick       half a minute of a little of everything

Status 0 when every promise was kept. Ctrl-C ends everything that it started.
With SWITCHBOARD_BIN_DIR set, the programs in that directory are run and nothing is built.`;
}

class UsageError extends Error {}

function numberOf(name, text, isGood = (value) => value > 0) {
    const value = Number(text);
    if (text !== undefined && !(Number.isInteger(value) && isGood(value))) {
        throw new UsageError(`--${name}: "${text}" will not do`);
    }
    return text === undefined ? undefined : value;
}

function chosen(names) {
    return names.map((name) => {
        const found = SCENARIOS.find((scenario) => scenario.name === name);
        if (!found) {
            throw new UsageError(`no scenario "${name}"`);
        }
        return found;
    });
}

function parse(args) {
    const text = { type: 'string' };
    const flag = { type: 'boolean', default: false };
    const options = { seconds: text, rate: text, clients: text, gateways: text };
    const { values, positionals } = parseArgs({
        args,
        allowPositionals: true,
        options: { ...options, quick: flag, help: { ...flag, short: 'h' } },
    });
    const numbers = {
        seconds: numberOf('seconds', values.seconds),
        rate: numberOf('rate', values.rate),
        clients: numberOf('clients', values.clients, (n) => n >= 2 && n % 2 === 0),
        gateways: numberOf('gateways', values.gateways),
    };
    const all = positionals.length === 0 ? SCENARIOS : chosen(positionals);
    return { scenarios: values.quick ? [quick] : all, numbers, help: values.help };
}

async function run(scenario, numbers) {
    const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
    const { seconds, gateways, rate = 5000 } = scenario;
    const options = { seconds, gateways, rate, clients: 200, ...Object.fromEntries(given) };
    const report = new Report(scenario.name);
    try {
        await scenario.run(report, options);
    } catch (error) {
        report.promise('the scenario comes to its end', false, error.stack);
        await cleanUp();
    }
    report.finish();
    return report;
}

async function main() {
    const { scenarios, numbers, help } = parse(process.argv.slice(2));
    if (help) {
        console.log(usage());
        return;
    }
    cleanUpOnSignals();
    const reports = [];
    for (const scenario of scenarios) {
        reports.push(await run(scenario, numbers));
    }
    await cleanUp();
    printTable(reports);
    process.exitCode = reports.every(({ broken }) => broken.length === 0) ? 0 : 1;
}

main().catch((error) => {
    const isUsage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS');
    console.error(isUsage ? `scripts/chaos: ${error.message} (see --help)` : error);
    process.exitCode = isUsage ? 2 : 1;
});
