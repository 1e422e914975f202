#!/usr/bin/env node
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { runOnNode24 } from './node-24.js';

// Where this process only starts another: the list of processes must not show its arguments, see hide-arguments.ts.
process.title = 'skein';

// realpath is not needed: Node resolves the symbolic link that npm makes before it runs the file.
const here = dirname(fileURLToPath(import.meta.url));
void runOnNode24({ script: join(here, 'start.js'), args: process.argv.slice(2), searchFrom: here });
