import { describe, expect, it } from 'vitest';

import { invariant } from './invariant.ts';

describe('an invariant', () => {
  it.each([0, '', false])('returns %j, which is a value', (value) => {
    expect(invariant(value, 'there is a value')).toBe(value);
  });

  it.each([undefined, null])('throws for %s, and says what should hold', (value) => {
    expect(() => invariant(value, 'a running sequence has a slot')).toThrow(
      expect.objectContaining({
        code: 'internal',
        message: expect.stringContaining('a running sequence has a slot') as string,
      }),
    );
  });
});
