import { SkeinError } from './skein-error.ts';

/**
 * Returns a value that must be there. A defect of ours ends the work that it touches instead of going on with a
 * stand-in: a slot or token that defaults to 0 is somebody else's.
 *
 * @param claim what holds whenever the value is there, as in "a running sequence has a slot"
 * @throws SkeinError `internal` when the value is undefined or null
 */
export function invariant<Value>(value: Value | undefined | null, claim: string): Value {
  if (value === undefined || value === null)
    throw new SkeinError('internal', `this should hold and does not: ${claim}`);
  return value;
}
