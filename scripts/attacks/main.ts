import { parseArgs } from 'node:util';

import { runHttpAttacks, type HttpAttackOutcome } from './http/run-http-attacks.ts';
import { runAttacks } from './run-attacks.ts';

const usage = `Attacks a mesh that runs on this machine in every way there is a case for, while it answers prompts: as a machine in its
network, and as a client of its HTTP API.
usage: npm run attacks [-- --family mesh|http] [--only <text>] [--json]
options:
  --family  run the attacks of machines (mesh) or of clients (http) alone
  --only    run the attacks whose names hold this text
  --json    print one JSON object, and nothing else, on stdout: { cases, refused, servedThroughout, answers, outcomes, http }
Ends with 1 when an attack was not refused, the mesh did not serve throughout, or a client of the HTTP API was held up (time
to the first token over 3 times that of a quiet time and 200 ms, each of three times), lost an answer, or left memory
behind (1.5 times).`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean' },
    family: { type: 'string' },
    only: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
const isKnown = values.family === undefined || ['mesh', 'http'].includes(values.family);
if (values.help === true || !isKnown) {
  process.stdout.write(`${usage}\n`);
  process.exitCode = isKnown ? 0 : 2;
} else {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  const print = (line: string): void => {
    if (values.json !== true) process.stdout.write(`${line}\n`);
  };
  // No name holds this one.
  const nothing = '\n';
  const onlyOf = (family: string) => (values.family === undefined || values.family === family ? values.only : nothing);
  const { signal } = controller;
  const report = await runAttacks({
    signal,
    only: onlyOf('mesh'),
    onOutcome: ({ name, failure }) => print(lineOf(name, failure)),
  });
  const { cases, refused, servedThroughout, answers } = report;
  if (cases > 0) {
    print(
      `\n${refused} of ${cases} refused; ${answers} answers meanwhile, ${servedThroughout ? 'none' : 'SOME'} failed\n`,
    );
  }
  const http = await runHttpAttacks({
    signal,
    only: onlyOf('http'),
    onOutcome: (outcome) => print(httpLineOf(outcome)),
  });
  const held = http.outcomes.filter(({ failure }) => failure === undefined).length;
  if (http.outcomes.length > 0)
    print(`\n${held} of ${http.outcomes.length} hurt nobody; ${http.answers} answers meanwhile`);
  if (values.json === true) process.stdout.write(`${JSON.stringify({ ...report, http })}\n`);
  process.exitCode = refused === cases && servedThroughout && held === http.outcomes.length ? 0 : 1;
}

function lineOf(name: string, failure: string | undefined): string {
  return `${failure === undefined ? 'refused' : 'FAILED '}  ${name}${failure === undefined ? '' : `: ${failure}`}`;
}

function httpLineOf({
  name,
  failure,
  quietMs,
  attackedMs,
  beforeBytes,
  afterBytes,
  attackMs,
}: HttpAttackOutcome): string {
  const waits = `first token after ${Math.round(attackedMs)} ms (quiet ${Math.round(quietMs)})`;
  const [before, after] = [beforeBytes, afterBytes].map((bytes) => Math.round(bytes / 2 ** 20));
  const facts = `${(attackMs / 1000).toFixed(1)} s, ${waits}, ${before} to ${after} MiB`;
  return `${failure === undefined ? 'held   ' : 'FAILED '}  ${name} [${facts}]${failure === undefined ? '' : `: ${failure}`}`;
}
