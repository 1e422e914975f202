import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';

import { fuzz } from './fuzz.ts';

// Whoever takes what it is told to take runs into this.
setFlagsFromString('--max-old-space-size=192');

const usage = `Gives every decoder that another machine can reach inputs that nobody expects.
usage: npm run fuzz [-- --inputs <count>] [--seed <number>] [--json]
options:
  --inputs  inputs in all, shared by the decoders; default 200000
  --seed    of the inputs; default: a new one each time
  --json    print one JSON object, and nothing else, on stdout: { inputs, failures, targets }
Ends with 1 when a decoder threw what is no SkeinError, and by the heap's bound when one took too much memory.`;

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '200000' },
    seed: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});
const [inputs, seed] = [Number(values.inputs), values.seed === undefined ? undefined : Number(values.seed)];
if (values.help === true || !Number.isSafeInteger(inputs) || inputs < 1) {
  process.stdout.write(`${usage}\n`);
  process.exitCode = values.help === true ? 0 : 2;
} else {
  const targets = await fuzz({
    inputs,
    seed,
    onTarget: ({ target, inputs: given, accepted, failure }) => {
      if (values.json === true) return;
      process.stdout.write(
        `${failure === undefined ? 'held  ' : 'BROKE '}  ${target}: ${given} inputs, ${accepted} accepted\n`,
      );
      if (failure !== undefined) process.stdout.write(`${failure}\n`);
    },
  });
  const total = targets.reduce((sum, target) => sum + target.inputs, 0);
  const failures = targets.filter(({ failure }) => failure !== undefined).length;
  if (values.json === true) process.stdout.write(`${JSON.stringify({ inputs: total, failures, targets })}\n`);
  else process.stdout.write(`\n${total} inputs for ${targets.length} decoders, ${failures} broke\n`);
  process.exitCode = failures === 0 ? 0 : 1;
}
