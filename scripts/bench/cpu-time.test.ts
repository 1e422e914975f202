import { expect, it } from 'vitest';

import { parseSchedstat } from './cpu-time.ts';

it('takes the time that a thread has computed from what Linux says of it', () => {
  expect(parseSchedstat('1234567890 4567 89\n')).toBeCloseTo(1234.56789);
});
