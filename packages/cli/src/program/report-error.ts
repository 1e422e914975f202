import type { Writable } from 'node:stream';
import { inspect } from 'node:util';

import { isSkeinError, type ErrorCode } from '@skein/protocol';
import { CommanderError } from 'commander';

import { printLine } from './context.ts';
import { withoutInvites } from './invite-argument.ts';

const advice = '; this is a fault in Skein: run again with --verbose, and report what that prints';

/** An error as a command with `--json` prints it, under `error`. */
export interface ReportedError {
  /** One of the closed list of codes; `invalid-request` for wrong usage. */
  readonly code: ErrorCode;
  /** The error in one line. */
  readonly message: string;
}

/** Returns an error with its code, for programs. Wrong usage of the command line counts as `invalid-request`. */
export function reportedError(error: unknown): ReportedError {
  if (error instanceof CommanderError) {
    return { code: 'invalid-request', message: oneLine(error).replace(/^error: /, '') };
  }
  return { code: isSkeinError(error) ? error.code : 'internal', message: withAdvice(error) };
}

/**
 * Prints an error in one line. Errors of ours name the fix themselves; any other is a fault in Skein, and gets advice.
 * With `verbose` it also prints stack and causes.
 */
export function reportError(stream: Writable, error: unknown, options: { readonly verbose: boolean }): void {
  printLine(stream, `error: ${options.verbose ? oneLine(error) : withAdvice(error)}`);
  // inspect() shows causes, too.
  if (options.verbose) printLine(stream, withoutInvites(inspect(error)));
}

function withAdvice(error: unknown): string {
  return `${oneLine(error)}${isSkeinError(error) && error.code !== 'internal' ? '' : advice}`;
}

/** Returns the message of an error, which as likely as not comes from another machine. */
function oneLine(error: unknown): string {
  return withoutInvites((error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' '));
}
