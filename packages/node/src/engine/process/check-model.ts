import { fromWireError, isSkeinError, SkeinError, wireErrorSchema } from '@skein/protocol';

import { libraryDirectory } from '../../hardware/backend.ts';
import { runProbe, type ProbeResult } from '../../probe/run-probe.ts';
import { publicReason } from '../libllama/load-failure.ts';

/** A check whether the engine would accept a model's file. It throws SkeinError `model-invalid` with the reason when not. */
export type CheckModel = (file: string, options: { readonly signal?: AbortSignal | undefined }) => Promise<void>;

const heapMebibytes = 256;
const maxQuotedErrors = 2000;

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
  const { signal } = options;
  const script = new URL('../child/check-main.ts', import.meta.url);
  const nodeOptions = [`--max-old-space-size=${heapMebibytes}`];
  const result = await runProbe({ script, arguments: [directory, file], nodeOptions, signal });
  if (result.type !== 'answered') throw unanswered(result);
  const error = wireErrorSchema.nullable().parse(JSON.parse(result.answer));
  if (error !== null) throw fromWireError(error);
}

function unanswered(result: Exclude<ProbeResult, { type: 'answered' }>): SkeinError {
  if (result.type === 'late') {
    const seconds = Math.round(result.limitMs / 1000);
    return new SkeinError('deadline-exceeded', `llama.cpp took more than ${seconds} s to read the model's header`);
  }
  const { by, errors } = result;
  if (by === 'SIGKILL') {
    return new SkeinError(
      'engine-failed',
      'reading the model was ended by SIGKILL, perhaps for want of memory; pull again',
    );
  }
  const last = errors.split('\n').find((line) => line.includes('GGML_ASSERT') || line.includes('terminate'));
  const words = last === undefined ? '' : `: ${publicReason(last)}`;
  const how = typeof by === 'string' ? by : `exit code ${by}`;
  return new SkeinError('model-invalid', `llama.cpp crashes over the model (${how}${words}); choose another file`, {
    cause: new Error(errors.slice(-maxQuotedErrors)),
  });
}
