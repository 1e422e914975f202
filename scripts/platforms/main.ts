import { fileURLToPath } from 'node:url';

import { checkPlatforms } from './check.ts';

/** Checks what `npm ci` installs on each platform that Skein is offered for. */
const faults = await checkPlatforms(fileURLToPath(new URL('../..', import.meta.url)));
for (const fault of faults) process.stderr.write(`${fault}\n`);
if (faults.length > 0) {
  process.stderr.write(
    'The lock file is not complete: choose versions that the registry has for all platforms (decision 4), or name what is expected in scripts/platforms/expected.ts.\n',
  );
  process.exitCode = 1;
}
