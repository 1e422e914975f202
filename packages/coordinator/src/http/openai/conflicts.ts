import type { z } from 'zod';

import type { ResponseFormat } from './response-format.ts';
import { samplingConflict, type Conflict, type SamplingParameters } from './sampling.ts';

interface SharedBody extends SamplingParameters {
  readonly stream?: boolean | undefined;
  readonly stream_options?: unknown;
  readonly response_format?: ResponseFormat | undefined;
}

/** Refuses parameters that can't be had together: for zod's `superRefine`. */
export function refuseConflicts(body: SharedBody, context: z.core.$RefinementCtx): void {
  const conflict = sharedConflict(body) ?? samplingConflict(body);
  if (conflict === undefined) return;
  context.addIssue({ code: 'custom', path: [conflict.parameter], message: conflict.reason });
}

function sharedConflict({
  stream,
  stream_options,
  grammar,
  response_format: format,
}: SharedBody): Conflict | undefined {
  if (stream_options !== undefined && stream !== true) {
    return { parameter: 'stream_options', reason: "only allowed when 'stream' is true" };
  }
  if ((grammar ?? '') !== '' && format !== undefined && format.type !== 'text') {
    return {
      parameter: 'grammar',
      reason: `a 'response_format' of ${format.type} has a grammar already; set one of the two`,
    };
  }
  return undefined;
}
