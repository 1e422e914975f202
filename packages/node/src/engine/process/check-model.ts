import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { fromWireError, isSkeinError, SkeinError, wireErrorSchema } from '@skein/protocol';

import { libraryDirectory } from '../../hardware/backend.ts';
import { publicReason } from '../libllama/load-failure.ts';

/** A check whether the engine would accept a model's file. It throws SkeinError `model-invalid` with the reason when not. */
export type CheckModel = (file: string, options: { readonly signal?: AbortSignal | undefined }) => Promise<void>;

/**
 * Longest check, in milliseconds: reading a header takes well under a second; on a slow disk and a busy machine,
 * several.
 */
const timeoutMs = 120_000;
const heapMebibytes = 256;
const maxOutputBytes = 1024 * 1024;

/**
 * Has llama.cpp read everything of a file but its weights, in a process of its own, so that a refusal or crash comes
 * before a request needs the model. Takes about a second and 130 MB. Accepts any file where there is no llama.cpp.
 *
 * @throws SkeinError `model-invalid` with llama.cpp's reason; `engine-failed` or `deadline-exceeded` when the check
 * itself failed; `aborted`
 */
export async function checkModel(
  file: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const directory = await libraryDirectory('cpu').catch((error: unknown) => {
    if (isSkeinError(error) && error.code === 'engine-incompatible') return undefined;
    throw error;
  });
  if (directory === undefined) return;
  const { output, errors, failure } = await run(directory, file, options.signal);
  options.signal?.throwIfAborted();
  if (failure !== undefined) throw crashed(failure, errors);
  const error = wireErrorSchema.nullable().parse(JSON.parse(output));
  if (error !== null) throw fromWireError(error);
}

interface Run {
  readonly output: string;
  readonly errors: string;
  readonly failure: Ending | undefined;
}

type Ending =
  { readonly timedOut: true } | { readonly timedOut: false; readonly how: string; readonly killed: boolean };

function run(directory: string, file: string, signal: AbortSignal | undefined): Promise<Run> {
  const script = fileURLToPath(new URL('../child/check-main.ts', import.meta.url));
  const loader = new URL('../../../loader/register.js', import.meta.url).href;
  const args = [`--max-old-space-size=${heapMebibytes}`, `--import=${loader}`, script, directory, file];
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: maxOutputBytes,
        windowsHide: true,
        ...(signal && { signal }),
      },
      (error, output, errors) => {
        if (error === null) return resolve({ output, errors, failure: undefined });
        const { signalCode, exitCode } = child;
        const timedOut = error.killed === true && signalCode === 'SIGKILL';
        const how = signalCode ?? `exit code ${exitCode}`;
        const killed = signalCode === 'SIGKILL';
        resolve({ output, errors, failure: timedOut ? { timedOut } : { timedOut, how, killed } });
      },
    );
  });
}

function crashed(ending: Ending, errors: string): SkeinError {
  if (ending.timedOut) {
    return new SkeinError(
      'deadline-exceeded',
      `llama.cpp took more than ${timeoutMs / 1000} s to read the model's header`,
    );
  }
  if (ending.killed) {
    return new SkeinError(
      'engine-failed',
      'reading the model was ended by SIGKILL, perhaps for want of memory; pull again',
    );
  }
  const last = errors.split('\n').find((line) => line.includes('GGML_ASSERT') || line.includes('terminate'));
  const words = last === undefined ? '' : `: ${publicReason(last)}`;
  return new SkeinError(
    'model-invalid',
    `llama.cpp crashes over the model (${ending.how}${words}); choose another file`,
    {
      cause: new Error(errors.slice(-maxQuotedErrors)),
    },
  );
}

const maxQuotedErrors = 2000;
