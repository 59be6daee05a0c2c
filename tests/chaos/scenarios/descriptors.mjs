export const scenario = { name: 'descriptors', about: '', seconds: 1, gateways: 2, async run(report) { report.skip('todo'); } };
