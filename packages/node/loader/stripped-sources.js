import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const cacheDirectory = join(root, 'node_modules', '.cache', 'skein', 'stripped');
const trailer = '\n//# of ';

/** Directory of our packages: the JavaScript of the files in their `src` is kept. */
export const packagesDirectory = join(root, 'packages');

/**
 * Returns where the JavaScript of a TypeScript file is kept, or would be; undefined for a file that is not ours.
 *
 * @param {string} path absolute
 */
export function strippedPath(path) {
  const inside = relative(packagesDirectory, path);
  const [name, folder] = inside.split(sep);
  return name !== '..' && folder === 'src' ? join(cacheDirectory, `${inside}.js`) : undefined;
}

/**
 * Reads the kept JavaScript of a TypeScript source; undefined when there is none, or one that belongs to another source
 * or was cut off by a loss of power.
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
 * Encodes the JavaScript of a source as {@link readStripped} expects it in its file.
 *
 * @param {string} source
 * @param {string} code
 */
export function encodeStripped(source, code) {
  return code + trailerOf(source, code);
}

/**
 * Returns the last line of a kept file, by which it is recognised as whole and as that of a source.
 *
 * @param {string} source
 * @param {string} code
 */
function trailerOf(source, code) {
  return trailer + hash('sha256', `${source}\0${code}`);
}
