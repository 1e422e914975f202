import { isSkeinError, SkeinError } from '@skein/protocol';

import type { GenerationInput } from '../generation-port.ts';

/**
 * The error of a request, in terms of what it asked for: whoever sent a JSON schema knows nothing of the grammar that was made
 * of it.
 */
export function inTermsOf({ jsonSchema }: GenerationInput, error: unknown): unknown {
  if (jsonSchema === undefined || !isSkeinError(error) || error.details['param'] !== 'grammar') return error;
  return new SkeinError(
    error.code,
    "the JSON schema of 'response_format' is too large to be followed; use fewer properties and alternatives, less nesting, or smaller values of minItems, maxItems, minLength and maxLength",
    { cause: error, details: { param: 'response_format' } },
  );
}
