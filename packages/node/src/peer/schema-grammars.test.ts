import type { Sampling } from '@skein/protocol';
import { expect, it } from 'vitest';

import { grammarOf } from '../engine/json-schema/index.ts';
import { SchemaGrammars } from './schema-grammars.ts';

const sampling: Sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
const schemaOf = (index: number) => JSON.stringify({ type: 'object', properties: { [`p${index}`]: {} } });

it('makes the grammar of each schema, however many come at once and again', async () => {
  const grammars = new SchemaGrammars();
  const schemas = [...Array(40).keys(), 0, 39, 0].map(schemaOf);
  const followed = await Promise.all(schemas.map(async (schema) => await grammars.follow(sampling, schema)));
  expect(followed).toEqual(schemas.map((schema) => ({ ...sampling, grammar: grammarOf(schema) })));
});

it('refuses a schema that can not be followed each time, and goes on', async () => {
  const grammars = new SchemaGrammars();
  const wrong = async () => await grammars.follow(sampling, '{"pattern":"x"}');
  for (const attempt of [wrong(), wrong(), wrong()]) {
    await expect(attempt).rejects.toMatchObject({ code: 'invalid-request' });
  }
  const grammar = grammarOf(schemaOf(1));
  expect(await grammars.follow(sampling, schemaOf(1))).toEqual({ ...sampling, grammar });
  await expect(grammars.follow({ ...sampling, grammar: 'root ::= "a"' }, schemaOf(1))).rejects.toMatchObject({
    code: 'invalid-request',
  });
});
