import { sha256Schema } from '@skein/protocol';
import { expect, test } from 'vitest';

import { catalog, defaultModelName, findCatalogEntry, findCatalogEntryByHash } from './catalog.ts';

test('finds a model by name, alias and hash, whatever the case', () => {
  const entry = findCatalogEntry(defaultModelName);
  expect(entry?.bytes).toBe(98_362_432);
  expect(findCatalogEntry('SmolLM2')).toBe(entry);
  expect(findCatalogEntryByHash(entry?.sha256 ?? '')).toBe(entry);
  expect(findCatalogEntry('unheard-of')).toBeUndefined();
});

test('gives every name to one model only', () => {
  const names = catalog.flatMap(({ name, aliases }) => [name, ...aliases]);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(names.map((name) => name.toLowerCase()));
});

test.each(catalog)('pins what $name consists of', ({ sha256, bytes, sources }) => {
  expect(sha256Schema.safeParse(sha256).success).toBe(true);
  for (const source of sources) {
    if (source.kind !== 'python-package') continue;
    expect(source.parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(bytes);
  }
});
