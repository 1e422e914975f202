import { getEventListeners } from 'node:events';

import { expect, test } from 'vitest';

import { onAbort } from './on-abort.ts';

test('calls once when the signal is aborted, and at once when it has been', () => {
  const controller = new AbortController();
  const calls: string[] = [];
  using _early = onAbort(controller.signal, () => calls.push('early'));
  controller.abort();
  using _late = onAbort(controller.signal, () => calls.push('late'));
  using _never = onAbort(undefined, () => calls.push('never'));
  expect(calls).toEqual(['early', 'late']);
});

test('leaves no listener once it is disposed, aborted or not', () => {
  const controller = new AbortController();
  const signal = AbortSignal.any([controller.signal]);
  const calls: string[] = [];
  {
    using _abort = onAbort(signal, () => calls.push('called'));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  }
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  controller.abort();
  using _late = onAbort(signal, () => calls.push('late'));
  expect(calls).toEqual(['late']);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});
