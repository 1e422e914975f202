import { SkeinError } from '@skein/protocol';

/** Most parts of a model. Published ones have dozens. */
const maxParts = 1024;
const partName = /-(\d{5})-of-(\d{5})(\.gguf)$/i;

/**
 * Returns the paths of all parts of a model, in order, when a path is that of one of several
 * (`model-00001-of-00003.gguf`); undefined for any other path.
 *
 * @throws SkeinError `model-invalid` for a number that can't be a part's, and for more than 1,024 parts
 */
export function partPaths(path: string): readonly string[] | undefined {
  const [ending, number, count, extension] = partName.exec(path) ?? [];
  if (ending === undefined || count === undefined || Number(count) === 1) return undefined;
  const parts = Number(count);
  if (parts > maxParts) {
    throw new SkeinError('model-invalid', `a model of ${parts} parts is more than Skein takes, which is ${maxParts}`);
  }
  if (Number(number) < 1 || Number(number) > parts) {
    throw new SkeinError('model-invalid', `there is no part ${Number(number)} of ${parts}; name the first, part 1`);
  }
  const stem = path.slice(0, -ending.length);
  return Array.from(
    { length: parts },
    (_, index) => `${stem}-${String(index + 1).padStart(5, '0')}-of-${count}${extension}`,
  );
}

/** Removes the number of a part from a path. */
export function withoutPart(path: string): string {
  return path.replace(partName, '$3');
}
