import type { GenerationUpdate, RoutedGeneration } from '@skein/mesh';
import { asSkeinError, SkeinError } from '@skein/protocol';

export type GenerationEnd = Extract<GenerationUpdate, { type: 'generation-end' }>;

/** What an answer reports beside its text. `lead` and the timings are Skein's own. */
export interface Completion {
  readonly deployment: string;
  readonly lead: string;
  readonly end: GenerationEnd;
}

/** Pieces of text as they come, none empty; returns how it ended. Throws why it failed, was lost or was aborted. */
export async function* generationText(
  { deployment, lead, events }: RoutedGeneration,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<string, Completion, undefined> {
  try {
    for await (const event of events) {
      if (event.type === 'generation-end') return { deployment, lead, end: event };
      if (event.text !== '') yield event.text;
    }
  } catch (error) {
    // Who aborted knows better why than the stream that was cut.
    throw signal.aborted ? asSkeinError(signal.reason, 'aborted') : error;
  }
  throw new SkeinError('peer-lost', 'the peer went away before the answer was complete; try again');
}
