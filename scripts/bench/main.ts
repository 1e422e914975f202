import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

import { benchSplit } from './split.ts';

/** `npm run bench -- <case> [--json]` */
const cases = { split: benchSplit };

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const [name = ''] = positionals;
if (!Object.hasOwn(cases, name)) {
  process.stderr.write(`usage: npm run bench -- <case> [--json]\ncases: ${Object.keys(cases).join(', ')}\n`);
  process.exit(2);
}
const report = await cases[name as keyof typeof cases]((line) => process.stderr.write(`${line}\n`));
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.versions.node}`;
if (values.json) {
  process.stdout.write(`${JSON.stringify({ ...report, machine })}\n`);
} else {
  console.log(`${report.model} on ${machine}`);
  console.table(report.rows);
  console.table(report.ratios);
}
process.exit(0);
