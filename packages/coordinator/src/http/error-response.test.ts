import { errorCodes, isErrorCode, SkeinError } from '@skein/protocol';
import { expect, it } from 'vitest';

import { errorBody, errorResponse } from './error-response.ts';

it('has an HTTP status and a type of OpenAI for each code', () => {
  const shown = Object.keys(errorCodes)
    .filter(isErrorCode)
    .map((code) => ({ code, error: new SkeinError(code, 'why') }));
  for (const { code, error } of shown) {
    const { status } = errorResponse(error);
    expect(status, code).toBeGreaterThanOrEqual(400);
    expect(status, code).toBeLessThan(600);
  }
  const typeOf = Object.fromEntries(shown.map(({ code, error }) => [code, errorBody(error).error.type]));
  expect(typeOf).toMatchObject({
    'invalid-request': 'invalid_request_error',
    'not-permitted': 'permission_error',
    overloaded: 'rate_limit_error',
    'stage-lost': 'server_error',
  });
});
