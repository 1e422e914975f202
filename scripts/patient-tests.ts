import { vi } from 'vitest';

/**
 * Waits of tests, as long as a loaded machine may take. The default of a second is a threshold that a busy machine
 * fails; this one only ends the wait for something that never comes.
 */
const patience = { timeout: 30_000 };
const { waitFor, waitUntil } = vi;

vi.waitFor = (callback, options) => waitFor(callback, patient(options));
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options));

type Options = Parameters<typeof waitFor>[1];

function patient(options: Options): Options {
  return typeof options === 'number' ? options : { ...patience, ...options };
}
