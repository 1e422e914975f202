import { createHash } from 'node:crypto';

import { SkeinError, type Section } from '@skein/protocol';

import type { SectionSource } from './section-source.ts';

/** A run of bytes of one section. */
export interface SectionChunk {
  /** Index of the section in the list that was asked for. */
  readonly index: number;
  /** Bytes from the start of the section. */
  readonly offset: number;
  readonly content: Uint8Array;
}

/**
 * Streams sections, cut at their borders, and checks each one's hash when it ends. Bytes are handed on before their
 * section is verified, so the consumer must throw away what it has when this throws.
 *
 * @throws SkeinError `hash-mismatch` when a section is not what the manifest says, `model-unreachable` when the stream ends early
 */
export async function* verifiedSections(
  source: SectionSource,
  sections: readonly Section[],
  options: { readonly signal?: AbortSignal | undefined },
): AsyncGenerator<SectionChunk> {
  let index = 0;
  let offset = 0;
  let hash = createHash('sha256');
  const finishSections = () => {
    // Also passes over sections without bytes.
    for (let section = sections[index]; section?.bytes === offset; section = sections[index]) {
      if (hash.digest('hex') !== section.sha256) throw mismatch(section);
      index += 1;
      offset = 0;
      hash = createHash('sha256');
    }
  };
  finishSections();
  if (index === sections.length) return;
  for await (const chunk of source.read(sections, options)) {
    options.signal?.throwIfAborted();
    for (let start = 0; start < chunk.byteLength;) {
      const section = sections[index];
      if (section === undefined) throw new SkeinError('protocol-violation', 'more bytes came than were asked for');
      const content = chunk.subarray(start, start + section.bytes - offset);
      hash.update(content);
      yield { index, offset, content };
      start += content.byteLength;
      offset += content.byteLength;
      finishSections();
    }
  }
  if (index === sections.length) return;
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
