// Runs a script of this repository on Node 24, whatever Node started this: node scripts/launch.js <file> [arguments …]
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { runOnNode24 } from '../packages/cli/bin/node-24.js';

const [file, ...args] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write('usage: node scripts/launch.js <file> [arguments …]\n');
  process.exitCode = 2;
} else {
  const here = dirname(fileURLToPath(import.meta.url));
  void runOnNode24({ script: resolve(file), args, searchFrom: here });
}
