import type { Writable } from 'node:stream';
import { inspect } from 'node:util';

import { isSkeinError } from '@skein/protocol';

import { printLine } from './context.ts';
import { withoutInvites } from './invite-argument.ts';

/**
 * Prints an error in one line. Errors of ours name the fix themselves; any other is a fault in Skein, and gets advice.
 * With `verbose` it also prints stack and causes.
 */
export function reportError(stream: Writable, error: unknown, options: { readonly verbose: boolean }): void {
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' ');
  const advice = '; this is a fault in Skein: run again with --verbose, and report what that prints';
  const isOurs = isSkeinError(error) && error.code !== 'internal';
  // Of another machine, as likely as not.
  printLine(stream, withoutInvites(`error: ${message}${isOurs || options.verbose ? '' : advice}`));
  // inspect() shows causes, too.
  if (options.verbose) printLine(stream, withoutInvites(inspect(error)));
}
