import { expect, test } from 'vitest';
import { z } from 'zod';

import { checkJson } from './check-json.ts';

const schema = z.object({ name: z.string() });

test.each([
  ['', 'it is empty'],
  ['{"name":', 'it is not JSON'],
  ['{"name":"a"}secret', 'it is not JSON'],
  [Uint8Array.of(0x22, 0xff, 0x22), 'it is not JSON'],
  ['{"name":5}', 'name: expected a string'],
  ['[]', 'expected an object'],
])('says what is wrong with %j and quotes nothing of it', (content, problem) => {
  expect(checkJson(schema, Buffer.from(content))).toMatchObject({ ok: false, problem });
});

test('gives what fits', () => {
  expect(checkJson(schema, Buffer.from('{"name":"attic"}\n'))).toEqual({ ok: true, data: { name: 'attic' } });
});
