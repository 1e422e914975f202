import { createHash } from 'node:crypto';

import { SkeinError, type Section } from '@skein/protocol';

import type { SectionSource } from './section-source.ts';

/** Consecutive bytes of one section. */
export interface SectionChunk {
  /** Index of the section in the requested list. */
  readonly index: number;
  /** Bytes from the start of the section. */
  readonly offset: number;
  readonly content: Uint8Array;
}

/**
 * Streams sections, cut at their borders, and checks each one's hash when it ends. Bytes are handed on before their
 * section is verified, so the consumer must discard them when this throws. Where the source has several holders of a
 * section, a wrong one comes again, from its start.
 *
 * @throws SkeinError `hash-mismatch` when a section is not what the manifest says, `model-unreachable` when the stream
 * ends early
 */
export async function* verifiedSections(
  source: SectionSource,
  sections: readonly Section[],
  options: { readonly signal?: AbortSignal | undefined },
): AsyncGenerator<SectionChunk> {
  for (let next = 0; next < sections.length;) next = yield* readFrom(next, source, sections, options);
}

/**
 * Streams the sections from this one on. Returns the index of the section to go on with: one that has to come again, or
 * none.
 */
async function* readFrom(
  first: number,
  source: SectionSource,
  sections: readonly Section[],
  options: { readonly signal?: AbortSignal | undefined },
): AsyncGenerator<SectionChunk, number> {
  const stream = source.read(sections.slice(first), options);
  let index = first;
  let offset = 0;
  let hash = createHash('sha256');
  /** Skips sections that have come as a whole, also those without bytes. Returns false when one has to come again. */
  const finishSections = (): boolean => {
    for (let section = sections[index]; section?.bytes === offset; section = sections[index]) {
      if (hash.digest('hex') !== section.sha256) {
        if (stream.reject?.(section) === true) return false;
        throw mismatch(section);
      }
      index += 1;
      offset = 0;
      hash = createHash('sha256');
    }
    return true;
  };
  if (!finishSections() || index === sections.length) return index;
  for await (const chunk of stream) {
    options.signal?.throwIfAborted();
    for (let start = 0; start < chunk.byteLength;) {
      const section = sections[index];
      if (section === undefined) throw new SkeinError('protocol-violation', 'more bytes came than were asked for');
      const content = chunk.subarray(start, start + section.bytes - offset);
      hash.update(content);
      yield { index, offset, content };
      start += content.byteLength;
      offset += content.byteLength;
      if (!finishSections()) return index;
    }
  }
  if (index === sections.length) return index;
  throw new SkeinError('model-unreachable', 'the sections ended early; try again, or fetch them from another peer', {
    details: { missing: sections.length - index },
  });
}

function mismatch(section: Section): SkeinError {
  return new SkeinError(
    'hash-mismatch',
    `${section.kind} ${section.name} is not what the model's manifest says; the holder's file changed or is damaged: pull it again there`,
    { details: { section: section.name, expected: section.sha256 } },
  );
}
