import { expect, it } from 'vitest';
import { z } from 'zod';

import { arraySchema } from './array-schema.ts';
import { parseHeader } from './parse-header.ts';

it('ends at the first thing that does not fit, at every depth, and names it', () => {
  let looks = 0;
  const bad = () => z.custom<never>(() => ((looks += 1), false));
  const schema = z.object({
    sections: arraySchema(z.object({ ranges: arraySchema(bad(), { most: 9 }), hash: bad() }), { most: 9 }),
    name: bad(),
  });
  const section = { ranges: [1, 2, 3], hash: 1 };
  const header = { sections: [section, section, section], name: 1 };
  expect(() => parseHeader(schema, header)).toThrow('sections[0].ranges[0]');
  expect(looks).toBe(1);
});
