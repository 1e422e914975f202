import type { Sampling } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { withJsonSchema } from './json-schema-grammar.ts';

const sampling: Sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };

describe('a JSON schema', () => {
  it('becomes a grammar with its properties', async () => {
    const schema = { type: 'object', properties: { colour: { enum: ['red', 'green'] }, count: { type: 'integer' } } };
    const { grammar = '' } = await withJsonSchema(sampling, JSON.stringify(schema));
    expect(grammar).toContain('root ::=');
    expect(grammar).toContain('colour');
    expect(grammar).toContain('red');
    expect(grammar).not.toContain('\\n\\n\\n\\n');
  });

  it('may have a property with the name of a rule that is not supported', async () => {
    const schema = {
      type: 'object',
      properties: { pattern: { type: 'string' }, size: { anyOf: [{ type: 'integer' }, { type: 'null' }] } },
    };
    expect((await withJsonSchema(sampling, JSON.stringify(schema))).grammar).toContain('pattern');
  });

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['a schema nested too deep', '{"a":'.repeat(5000) + '1' + '}'.repeat(5000)],
    ['a type that there is not', '{"type":"colour"}'],
    ['a rule that would be passed over', '{"type":"object","properties":{"a":{"type":"string","pattern":"x"}}}'],
  ])('is refused when it is %s', async (_name, schema) => {
    await expect(withJsonSchema(sampling, schema)).rejects.toMatchObject({ code: 'invalid-request' });
  });

  it('is refused together with a grammar', async () => {
    await expect(withJsonSchema({ ...sampling, grammar: 'root ::= "a"' }, '{"type":"object"}')).rejects.toMatchObject({
      code: 'invalid-request',
    });
  });
});
