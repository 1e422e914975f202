import type { Section } from '@skein/protocol';

import { fileSectionSource } from './section-source.ts';
import { verifiedSections } from './verified-sections.ts';

/** Most bytes of a file that are hashed again each time that it is loaded: about a second's work. */
export const spotCheckBytes = 256 * 1024 ** 2;

export interface SpotCheckOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default: {@link spotCheckBytes}. */
  readonly maxBytes?: number | undefined;
  /** Returns a number from 0 up to 1. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/**
 * Hashes sections of a file that was checked when it was written: all of a small file, a random choice of a large one,
 * another one each time.
 *
 * @param sections sections with their offsets in this file
 * @throws SkeinError `hash-mismatch` when one is not what it was
 */
export async function spotCheck(
  path: string,
  sections: readonly Section[],
  { signal, ...options }: SpotCheckOptions = {},
): Promise<void> {
  const chosen = chooseSections(sections, options);
  for await (const _ of verifiedSections(fileSectionSource(path), chosen, { signal }));
}

/** Chooses sections at random, as many as fit, in the order in which they were given. The smallest, if none does. */
export function chooseSections(
  sections: readonly Section[],
  { maxBytes = spotCheckBytes, random = Math.random }: Pick<SpotCheckOptions, 'maxBytes' | 'random'>,
): readonly Section[] {
  const shuffled = sections
    .map((section) => ({ section, place: random() }))
    .toSorted((one, other) => one.place - other.place);
  const chosen = new Set<Section>();
  let left = maxBytes;
  for (const { section } of shuffled) {
    if (section.bytes > left) continue;
    chosen.add(section);
    left -= section.bytes;
  }
  if (chosen.size > 0) return sections.filter((section) => chosen.has(section));
  return sections.toSorted((one, other) => one.bytes - other.bytes).slice(0, 1);
}
