import type { Readable, Writable } from 'node:stream';

import { printableLines } from '../output/format.ts';

/** A command's access to the world. Tests give their own. */
export interface CommandContext {
  /** Stream for answers and facts. */
  readonly stdout: Writable & { readonly isTTY?: boolean };
  /** Stream for progress, logs and errors. */
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** Aborts when the person or the system wants an end. */
  readonly signal: AbortSignal;
  /** Variables of the environment that concern other programs as well: proxies, and those of Hugging Face. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Directory of the data unless a flag or `SKEIN_DATA` names another. */
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

/**
 * Prints a line for people. Names, labels and errors in it may be of others' choosing, so nothing but text reaches the
 * terminal.
 */
export function printLine(stream: Writable, text = ''): void {
  stream.write(`${printableLines(text)}\n`);
}

/** Prints a warning: a problem that did not stop the command, but that its owner should know. The text names the fix. */
export function printWarning(stderr: Writable, text: string): void {
  printLine(stderr, `warning: ${text}`);
}

/** Prints one JSON document, on one line so that programs can read it as such. */
export function printJson(stream: Writable, value: object): void {
  // Escapes nearly all that is not printable; the rest means nothing in JSON either.
  stream.write(`${JSON.stringify(value).replaceAll(/[\u007F-\u009F]/g, escaped)}\n`);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
