import { parseHeader } from '@skein/protocol';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { committedLines, goldenFiles, linesOf, type GoldenFile } from './golden-files.ts';

/** Decodes golden bytes as a member does. */
function decoded({ decode }: GoldenFile, hex: string): unknown {
  return decode(new Uint8Array(Buffer.from(hex, 'hex')));
}

/** Returns the types of messages that a schema takes. */
function typesOf(schema: z.ZodType): readonly unknown[] {
  if (schema instanceof z.ZodDiscriminatedUnion) {
    return schema.options.flatMap((option) => (option instanceof z.ZodType ? typesOf(option) : []));
  }
  if (!(schema instanceof z.ZodObject)) return [];
  const type: unknown = schema.shape['type'];
  return type instanceof z.ZodLiteral ? [...type.values] : [];
}

describe.each(goldenFiles().map((file) => [file.name, file] as const))('the bytes of %s', (_name, file) => {
  it('are those that members of this version have always sent; a new message is added by `npm run golden`', async () => {
    const known = (await committedLines(file)).map(({ hex }) => hex);
    for (const { name, hex } of linesOf(file)) expect(known, `${name} of ${file.name}`).toContain(hex);
  });

  it('are there for each message', () => {
    for (const { name, schema, examples } of file.messages) {
      const types = examples.flatMap((example) => ('type' in example ? [example.type] : []));
      expect(new Set(types), name).toEqual(new Set(typesOf(schema)));
    }
  });

  it('are understood, also those of messages as they were before', async () => {
    for (const { name, hex } of await committedLines(file)) {
      const schemas = file.messages.filter((messages) => messages.name === name).map(({ schema }) => schema);
      expect(schemas, `${name} of ${file.name} has no schema any more: give its method a new version`).toHaveLength(1);
      for (const schema of schemas) expect(() => parseHeader(schema, decoded(file, hex)), name).not.toThrow();
    }
  });

  it('give back what was sent', () => {
    for (const { name, schema, examples } of file.messages)
      for (const example of examples)
        expect(parseHeader(schema, decoded(file, Buffer.from(file.encode(example)).toString('hex'))), name).toEqual(
          example,
        );
  });
});
