import type { Readable, Writable } from 'node:stream';

import { printableLines } from '../output/format.ts';

/** What commands have of the world. Tests give their own. */
export interface CommandContext {
  /** Answers and facts. */
  readonly stdout: Writable & { readonly isTTY?: boolean };
  /** Progress, logs and errors. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** Aborted when the person or the system wants an end. */
  readonly signal: AbortSignal;
  /** Where data lies unless a flag or `SKEIN_DATA` says otherwise. */
  readonly defaultDataDirectory: string;
}

/** Options that every command takes. */
export interface GlobalOptions {
  readonly data: string;
  /** File whose first line is the passphrase of the keys. */
  readonly passphraseFile?: string;
  readonly logLevel: string;
  readonly verbose: boolean;
}

/** Prints for people. Texts may hold what others chose: names, labels, errors. So nothing in them reaches the terminal but text. */
export function printLine(stream: Writable, text = ''): void {
  stream.write(`${printableLines(text)}\n`);
}

/** What did not keep a command from its work, but its owner should know. Names the fix. */
export function printWarning(stderr: Writable, text: string): void {
  printLine(stderr, `warning: ${text}`);
}

/** One JSON document, on one line so that programs can read it as such. */
export function printJson(stream: Writable, value: object): void {
  // Escapes nearly all that is not printable; the rest means nothing in JSON either.
  stream.write(`${JSON.stringify(value).replaceAll(/[\u007F-\u009F]/g, escaped)}\n`);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
