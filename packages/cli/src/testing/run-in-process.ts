import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';

import { runCommandLine } from '../program/run-command-line.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process, and returns its exit code and output. */
export async function runInProcess(
  commandLine: readonly string[],
  options: {
    readonly data?: string;
    readonly signal?: AbortSignal;
    readonly isTTY?: boolean;
    /** Content of standard input. Default: nothing. */
    readonly input?: string;
    /** Variables of the environment. Default: none. */
    readonly environment?: Readonly<Record<string, string>>;
    /** Called with what was printed on stdout, piece by piece. */
    readonly onPrint?: (text: string) => void;
    /** Called with what was printed on stderr, piece by piece. */
    readonly onWarning?: (text: string) => void;
  } = {},
): Promise<Outcome> {
  const stdout = watched(options.onPrint);
  const stderr = Object.assign(watched(options.onWarning), { isTTY: options.isTTY === true });
  const stdin = new PassThrough().end(options.input ?? '');
  const code = await runCommandLine(commandLine, {
    stdout,
    stderr,
    stdin,
    signal: options.signal ?? new AbortController().signal,
    environment: options.environment ?? {},
    defaultDataDirectory: options.data ?? '/nowhere',
  });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

/** Makes a stream that calls back with what is written to it. */
function watched(onText: ((text: string) => void) | undefined): PassThrough {
  return new PassThrough({
    transform(chunk, _, done) {
      onText?.(String(chunk));
      done(null, chunk);
    },
  });
}
