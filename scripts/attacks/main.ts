import { parseArgs } from 'node:util';

import { runAttacks } from './run-attacks.ts';

const usage = `Attacks a mesh that runs on this machine in every way there is a case for, while it answers prompts.
usage: npm run attacks [-- --json]
options:
  --json   print one JSON object, and nothing else, on stdout: { cases, refused, servedThroughout, answers, outcomes }
Ends with 1 when an attack was not refused, or the mesh did not serve throughout.`;

const { values } = parseArgs({ options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } });
if (values.help === true) {
  process.stdout.write(`${usage}\n`);
} else {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  const report = await runAttacks({
    signal: controller.signal,
    onOutcome: ({ name, failure }) => {
      if (values.json !== true)
        process.stdout.write(
          `${failure === undefined ? 'refused' : 'FAILED '}  ${name}${failure === undefined ? '' : `: ${failure}`}\n`,
        );
    },
  });
  const { cases, refused, servedThroughout, answers } = report;
  if (values.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else
    process.stdout.write(
      `\n${refused} of ${cases} refused; ${answers} answers meanwhile, ${servedThroughout ? 'none failed' : 'SOME FAILED'}\n`,
    );
  process.exitCode = refused === cases && servedThroughout ? 0 : 1;
}
