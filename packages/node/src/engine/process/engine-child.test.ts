import { expect, test } from 'vitest';

import { controlDescriptor, ringDescriptor } from '../control.ts';
import { engineStdio } from './engine-child.ts';

// No other system shows the difference: what fails is an engine on Windows, which hangs before it is ready.
test('reads and writes the pipes of an engine at the same time, on Windows as well', () => {
  expect(engineStdio[controlDescriptor]).toBe('overlapped');
  expect(engineStdio[ringDescriptor]).toBe('overlapped');
});
