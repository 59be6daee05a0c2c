/* Real sets under a load of verified messages, while faults are injected. scripts/chaos starts it,
 * and says how it is used. */
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
        options: { ...options, quick: flag },
    });
    const numbers = {
        seconds: numberOf('seconds', values.seconds),
        rate: numberOf('rate', values.rate),
        clients: numberOf('clients', values.clients, (n) => n >= 2 && n % 2 === 0),
        gateways: numberOf('gateways', values.gateways),
    };
    const all = positionals.length === 0 ? SCENARIOS : chosen(positionals);
    return { scenarios: values.quick ? [quick] : all, numbers };
}

async function run(scenario, numbers) {
    const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
    const { seconds, gateways, rate = 5000 } = scenario;
    const options = { seconds, gateways, rate, clients: 200, ...Object.fromEntries(given) };
    const report = new Report(scenario);
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
    const { scenarios, numbers } = parse(process.argv.slice(2));
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
