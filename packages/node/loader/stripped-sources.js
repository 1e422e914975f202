import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const cacheDirectory = join(root, 'node_modules', '.cache', 'skein', 'stripped');
const trailer = '\n//# of ';

/** Where our packages lie: the JavaScript of what is in their `src` is kept. */
export const packagesDirectory = join(root, 'packages');

/**
 * Where the JavaScript of a TypeScript file is kept, or would be; undefined for what is none of ours.
 *
 * @param {string} path absolute
 */
export function strippedPath(path) {
  const inside = relative(packagesDirectory, path);
  const [name, folder] = inside.split(sep);
  return name !== '..' && folder === 'src' ? join(cacheDirectory, `${inside}.js`) : undefined;
}

/**
 * The JavaScript kept of a TypeScript source; undefined when it is not there, is of another source, or was cut off by a
 * loss of power.
 *
 * @param {string} path from {@link strippedPath}
 * @param {string} source as it is now
 */
export function readStripped(path, source) {
  let kept;
  try {
    kept = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const end = kept.lastIndexOf(trailer);
  const code = kept.slice(0, Math.max(end, 0));
  return kept.slice(end) === trailerOf(source, code) ? code : undefined;
}

/**
 * What to write for {@link readStripped} to find.
 *
 * @param {string} source
 * @param {string} code
 */
export function encodeStripped(source, code) {
  return code + trailerOf(source, code);
}

/**
 * @param {string} source
 * @param {string} code
 */
function trailerOf(source, code) {
  return trailer + hash('sha256', `${source}\0${code}`);
}
