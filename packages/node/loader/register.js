// Imported before all else, lets a process run our TypeScript without stripping types itself. Node's stripper is
// WebAssembly, and a process that has used it holds some 30 MB more until it ends: too much for a daemon and for each
// engine. So a short-lived process strips all sources when one is new or has changed, and the JavaScript is kept in
// node_modules/.cache. Plain JavaScript, because the stripper would be needed to read anything else.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

import { readStripped, strippedPath } from './stripped-sources.js';

let haveStripped = false;

registerHooks({
  load(url, context, nextLoad) {
    const code = url.startsWith('file:') && url.endsWith('.ts') ? strippedCode(fileURLToPath(url)) : undefined;
    return code === undefined ? nextLoad(url, context) : { format: 'module', source: code, shortCircuit: true };
  },
});

/**
 * Returns the kept JavaScript of a source.
 *
 * @param {string} path
 * @returns {string | undefined} undefined where Node is to read the file itself
 */
function strippedCode(path) {
  const kept = strippedPath(path);
  if (kept === undefined) return undefined;
  const source = readFileSync(path, 'utf8');
  const code = readStripped(kept, source);
  // A second attempt could make no more than the first.
  if (code !== undefined || haveStripped) return code;
  haveStripped = true;
  const script = fileURLToPath(new URL('strip-sources.js', import.meta.url));
  spawnSync(process.execPath, [script], { stdio: 'ignore', windowsHide: true });
  return readStripped(kept, source);
}
