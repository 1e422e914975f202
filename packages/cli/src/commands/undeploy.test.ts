import { expect, test } from 'vitest';

import { idOf } from './undeploy.ts';

const ids = ['0b9c4f1e-8a51', '0b9d0000-1111', '77777777-2222', '77777777-2222-3'];

test('takes an id, or a start that only one id has', () => {
  expect(idOf('0b9c', ids)).toBe('0b9c4f1e-8a51');
  expect(idOf('77777777-2222', ids)).toBe('77777777-2222');
  expect(idOf('1234', ids)).toBe('1234');
});

test('names those that a start stands for when there are several', () => {
  expect(() => idOf('0b9', ids)).toThrow(/0b9c4f1e-8a51, 0b9d0000-1111/);
});
