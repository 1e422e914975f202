import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';

import { fuzz } from './fuzz.ts';
import { fuzzGrammars, type GrammarFuzzReport } from './grammars/fuzz-grammars.ts';

// A decoder that takes what it is told to take runs into this.
setFlagsFromString('--max-old-space-size=192');

const usage = `Gives every decoder that another machine can reach inputs that nobody expects, or an engine grammars.
usage: npm run fuzz [-- decoders] [--inputs <count>] [--seed <number>] [--json]
       npm run fuzz -- grammars [--inputs <count>] [--first <number>] [--seed <number>] [--json]
options:
  --inputs  decoders: inputs in all, shared by the decoders; default 200000
            grammars: grammars and JSON schemas for the sampler of an engine; default 50000
  --first   number of the first input, to see one again; default 0
  --seed    of the inputs; default: a new one each time
  --json    print one JSON object, and nothing else, on stdout
Ends with 1 when a decoder threw what is no SkeinError, or an engine died or stalled, and by the heap's bound when a decoder
took too much memory.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    inputs: { type: 'string' },
    first: { type: 'string', default: '0' },
    seed: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});
const target = positionals[0] ?? 'decoders';
const inputs = Number(values.inputs ?? (target === 'grammars' ? 50_000 : 200_000));
const seed = values.seed === undefined ? undefined : Number(values.seed);
const first = Number(values.first);

if (values.help === true || ![inputs, first].every(Number.isSafeInteger) || inputs < 1) {
  process.stdout.write(`${usage}\n`);
  process.exitCode = values.help === true ? 0 : 2;
} else if (target === 'decoders') {
  await fuzzDecoders();
} else if (target === 'grammars') {
  await fuzzSampler();
} else {
  process.stdout.write(`${usage}\n`);
  process.exitCode = 2;
}

async function fuzzDecoders(): Promise<void> {
  const targets = await fuzz({
    inputs,
    seed,
    onTarget: (report) => {
      if (values.json === true) return;
      const verdict = report.failure === undefined ? 'held  ' : 'BROKE ';
      process.stdout.write(`${verdict}  ${report.target}: ${report.inputs} inputs, ${report.accepted} accepted\n`);
      if (report.failure !== undefined) process.stdout.write(`${report.failure}\n`);
    },
  });
  const total = targets.reduce((sum, report) => sum + report.inputs, 0);
  const failures = targets.filter(({ failure }) => failure !== undefined).length;
  if (values.json === true) process.stdout.write(`${JSON.stringify({ inputs: total, failures, targets })}\n`);
  else process.stdout.write(`\n${total} inputs for ${targets.length} decoders, ${failures} broke\n`);
  process.exitCode = failures === 0 ? 0 : 1;
}

async function fuzzSampler(): Promise<void> {
  const used = seed ?? Date.now() % 1_000_000;
  const report = await fuzzGrammars({
    inputs,
    first,
    seed: used,
    onProgress: (progress) => {
      if (values.json !== true) process.stderr.write(`${described(progress)}\n`);
    },
  });
  if (values.json === true) process.stdout.write(`${JSON.stringify({ seed: used, ...report })}\n`);
  else process.stdout.write(`${[described(report), ...report.failures].join('\n')}\n`);
  process.exitCode = report.failures.length === 0 ? 0 : 1;
}

function described(report: GrammarFuzzReport): string {
  const { inputs: given, followed, refused, longestMs, longestInput, peakMebibytes, failures } = report;
  return `${given} inputs, ${followed} followed, ${refused} refused, ${failures.length} broke; longest without a sign ${Math.round(longestMs)} ms, with ${longestInput}; engine up to ${peakMebibytes ?? '?'} MiB`;
}
