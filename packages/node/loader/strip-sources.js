// Strips the types of those of our sources of which no JavaScript is kept. A process of its own, see register.js.
import { globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';

import { encodeStripped, packagesDirectory, readStripped, strippedPath } from './stripped-sources.js';

for (const file of globSync('*/src/**/*.ts', { cwd: packagesDirectory, exclude: ['**/*.test.ts'] })) {
  const path = join(packagesDirectory, file);
  const kept = strippedPath(path);
  const source = readFileSync(path, 'utf8');
  if (kept === undefined || readStripped(kept, source) !== undefined) continue;
  try {
    const code = stripTypeScriptTypes(source);
    mkdirSync(dirname(kept), { recursive: true });
    // Whole or not at all: others may be reading it, or writing the same.
    const temporary = `${kept}.${process.pid}`;
    writeFileSync(temporary, encodeStripped(source, code));
    renameSync(temporary, kept);
  } catch {
    // It does not parse, or the directory is not ours to write to. Importers have Node strip it, and get
    // Node's own words.
  }
}
