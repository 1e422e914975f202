import { describe, expect, it } from 'vitest';

import { errorCodes, isErrorCode, mayFitWithLess, retryOf } from './codes.ts';
import { asSkeinError, fromWireError, isSkeinError, SkeinError, toWireError } from './skein-error.ts';

describe('errors between peers', () => {
  it('keep code, message and details', () => {
    const error = new SkeinError('overloaded', 'try later', { details: { queued: 64 } });
    const received = fromWireError(toWireError(error));
    expect(received).toMatchObject({
      code: 'overloaded',
      message: 'try later',
      retryable: true,
      details: { queued: 64 },
    });
  });

  it('never carry the text of an error that is not ours', () => {
    const wire = toWireError(new Error('secret path /home/someone'));
    expect(wire.code).toBe('internal');
    expect(JSON.stringify(wire)).not.toContain('someone');
    expect(toWireError(new Error('/home/someone'), 'engine-failed')).toEqual({
      code: 'engine-failed',
      message: expect.not.stringContaining('someone') as string,
    });
    expect(asSkeinError(new Error('/home/someone')).message).not.toContain('someone');
  });

  it('never carry a cause', () => {
    const wire = toWireError(new SkeinError('disk-failed', 'disk full', { cause: new Error('inner') }));
    expect(JSON.stringify(wire)).not.toContain('inner');
  });

  it('of a newer version become internal ones with their message', () => {
    expect(fromWireError({ code: 'brand-new', message: 'unheard of' })).toMatchObject({
      code: 'internal',
      message: 'unheard of',
    });
    expect(fromWireError({ code: 'toString', message: '' }).code).toBe('internal');
  });

  it('are recognised by brand', () => {
    expect(isSkeinError(new SkeinError('internal', ''))).toBe(true);
    expect(isSkeinError({ code: 'internal' })).toBe(false);
  });

  it('are recognised by `instanceof`, too, when another copy of this package made them', () => {
    const foreign = Object.assign(new Error('from another copy'), { [Symbol.for('skein.error')]: true });
    expect(foreign instanceof SkeinError).toBe(true);
    expect(new SkeinError('internal', '') instanceof SkeinError).toBe(true);
    expect(new Error('not ours') instanceof SkeinError).toBe(false);
  });

  it('name timeouts and aborts for what they are', () => {
    expect(asSkeinError(new DOMException('', 'TimeoutError')).code).toBe('deadline-exceeded');
    expect(asSkeinError(new DOMException('', 'AbortError')).code).toBe('aborted');
    expect(asSkeinError(new Error('x'), 'disk-failed').code).toBe('disk-failed');
  });

  it('say whether the same request may succeed later', () => {
    for (const code of ['overloaded', 'stage-lost', 'no-peers', 'deadline-exceeded'] as const) {
      expect(new SkeinError(code, '').retryable, code).toBe(true);
    }
    for (const code of ['aborted', 'internal', 'invalid-request', 'does-not-fit', 'request-kills-engines'] as const) {
      expect(new SkeinError(code, '').retryable, code).toBe(false);
    }
  });

  it('are tried elsewhere only when another replica may not share the failure', () => {
    const codes = Object.keys(errorCodes).filter(isErrorCode);
    expect(codes.filter((code) => retryOf(code) === 'elsewhere')).toEqual([
      'not-deployed',
      'overloaded',
      'stage-lost',
      'peer-lost',
      'not-running',
      'handed-over',
    ]);
    expect(codes.filter(mayFitWithLess)).toEqual(['does-not-fit', 'no-peers']);
  });
});
