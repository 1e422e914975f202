import { SkeinError } from '@skein/protocol';
import { expect, test } from 'vitest';

import { untilAborted } from './wait.ts';

test('waits for a promise until the signal is aborted', async () => {
  const { signal } = new AbortController();
  expect(await untilAborted(Promise.resolve('value'), signal)).toBe('value');
  await expect(untilAborted(Promise.reject(new Error('its own')), signal)).rejects.toThrow('its own');
  expect(await untilAborted(Promise.resolve('value'), undefined)).toBe('value');
});

test("throws the signal's own error, and `aborted` for one without", async () => {
  const never = new Promise<never>(() => undefined);
  const stopping = new AbortController();
  const waiting = untilAborted(never, stopping.signal);
  stopping.abort(new SkeinError('not-running', 'stopping'));
  await expect(waiting).rejects.toMatchObject({ code: 'not-running' });
  await expect(untilAborted(never, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
});

test('takes care of a promise that fails after nobody waits for it any more', async () => {
  const late = Promise.withResolvers<never>();
  await expect(untilAborted(late.promise, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
  // An unhandled rejection would fail this test.
  late.reject(new Error('too late'));
  await new Promise(setImmediate);
});
