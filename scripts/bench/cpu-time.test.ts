import { expect, it } from 'vitest';

import { parseSchedstat } from './cpu-time.ts';

it('takes the time that a thread has computed and waited from what Linux says of it', () => {
  expect(parseSchedstat('1234567890 4500000 89\n')).toEqual({ computedMs: 1234.56789, waitedMs: 4.5 });
});
