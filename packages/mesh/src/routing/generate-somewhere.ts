import { asSkeinError, type ErrorCode, type GenerationRequest, type SkeinError } from '@skein/protocol';

import { generate, type GenerateOptions, type GenerationUpdate } from '../calls/generate.ts';
import type { Mesh } from '../mesh.ts';
import { throwIfAborted } from '../streams/wait.ts';
import type { Route } from './least-loaded-lead.ts';

/** Failures of a lead that another one may not share. */
const worthAnotherLead: ReadonlySet<ErrorCode> = new Set([
  'peer-lost',
  'stage-lost',
  'overloaded',
  'not-deployed',
  // Its member is there, but its peer has stopped.
  'not-running',
]);

/** A lead that failed before its first event, and why. */
export interface Refusal extends Route {
  readonly error: SkeinError;
}

export interface GenerateSomewhereOptions extends GenerateOptions {
  /** The lead to ask next, after those that refused, in their order. What it throws ends the search. */
  readonly choose: (refusals: readonly Refusal[]) => Route | Promise<Route>;
  readonly request: Omit<GenerationRequest, 'type' | 'deployment'>;
}

/** A generation whose lead has begun to answer. */
export interface RoutedGeneration extends Route {
  /** To be read to its end or left; if it is never begun, the signal has to be aborted. */
  readonly events: AsyncIterable<GenerationUpdate>;
}

/**
 * Generates at the first lead that begins to answer, and resolves when one has: from then on the generation is tied to it,
 * since another one would begin anew what the caller may have passed on. Deadlines are those of each lead. Throws what
 * `choose` throws, and what {@link generate} does when that is no reason to ask another lead.
 */
export async function generateSomewhere(
  mesh: Pick<Mesh, 'open'>,
  { choose, request, ...options }: GenerateSomewhereOptions,
): Promise<RoutedGeneration> {
  const refusals: Refusal[] = [];
  for (;;) {
    const { deployment, lead } = await choose(refusals);
    const events = generate(mesh, lead, { deployment, ...request }, options);
    try {
      const first = await events.next();
      return { deployment, lead, events: resume(first, events) };
    } catch (thrown) {
      throwIfAborted(options.signal);
      const error = asSkeinError(thrown);
      if (!worthAnotherLead.has(error.code)) throw error;
      refusals.push({ deployment, lead, error });
    }
  }
}

/** An iteration whose first result has been taken already. */
async function* resume<Value>(
  first: IteratorResult<Value, void>,
  rest: AsyncGenerator<Value, void, undefined>,
): AsyncGenerator<Value, void, undefined> {
  try {
    for (let next = first; next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return();
  }
}
