import { parseArgs } from 'node:util';

import { checkSchemas, type CheckResult } from './check-schemas.ts';
import { readExamples } from './examples.ts';

const usage = `Checks that answers under a JSON schema follow it, with schemas that people use. Each schema is followed or refused by name.
usage: npm run schemas -- --schemas <directory or archive> [--count <schemas>] [--answers <count>] [--walks <count>] [--seed <number>] [--json]
options:
  --schemas  files of MaskBench: { schema, tests: [{ valid, data }] }
  --count    schemas for which an engine with a tiny model answers; default 300
  --answers  finished answers for each of those; default 3
  --walks    random texts of each grammar, drawn without an engine; default 10
  --seed     of all that is random; default 1
  --json     print one JSON object, and nothing else, on stdout
Ends with 1 when a text that a grammar derives does not follow its schema.`;

const { values } = parseArgs({
  options: {
    schemas: { type: 'string' },
    count: { type: 'string', default: '300' },
    answers: { type: 'string', default: '3' },
    walks: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [count, answers, walks, seed] = [values.count, values.answers, values.walks, values.seed].map(Number);
const isWhole = (value: number | undefined): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

if (values.help || values.schemas === undefined) {
  process.stdout.write(`${usage}\n`);
  process.exitCode = values.help ? 0 : 2;
} else if (!isWhole(count) || !isWhole(answers) || !isWhole(walks) || !isWhole(seed)) {
  process.stderr.write('--count, --answers, --walks and --seed take whole numbers from 0 on\n');
  process.exitCode = 2;
} else {
  const result = await checkSchemas(await readExamples(values.schemas), { count, answers, walks, seed });
  process.stdout.write(`${values.json ? JSON.stringify(result) : describe(result)}\n`);
  process.exitCode = result.wrong.length === 0 ? 0 : 1;
}

function describe(result: CheckResult): string {
  const { schemas, followed, refused, refusedBy, withoutValidator, instances, answers: sampled, wrong } = result;
  const valid = instances.validAccepted + instances.validRefused;
  const share = valid === 0 ? '' : ` (${((100 * instances.validAccepted) / valid).toFixed(1)} %)`;
  const keywords = Object.entries(refusedBy).slice(0, 12);
  return [
    `${schemas} schemas: ${followed} followed, ${refused} refused, ${withoutValidator} that Ajv can't take`,
    `refused by ${keywords.map(([keyword, number]) => `${keyword} ${number}`).join(', ')}`,
    `values marked valid: ${instances.validAccepted} of ${valid} accepted${share}`,
    `values marked invalid: ${instances.invalidAccepted} of ${instances.invalidAccepted + instances.invalidRefused} accepted`,
    `random texts: ${result.walks}, of ${sampled.sampledSchemas} schemas answers: ${sampled.finished} finished, ${sampled.unfinished} too long`,
    ...wrong.map(({ schema, check, text }) => `WRONG ${check} of ${schema}: ${text.slice(0, 300)}`),
    `${wrong.length} texts don't follow their schema`,
  ].join('\n');
}
