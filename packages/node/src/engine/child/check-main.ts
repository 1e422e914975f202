import { toWireError } from '@skein/protocol';

import { answerProbe } from '../../probe/answer-probe.ts';
import { enumerators } from '../libllama/c-headers.ts';
import { loadLibllama } from '../libllama/libllama.ts';

/**
 * Checks whether llama.cpp accepts a model's file, and prints the error as JSON, or null. With `no_alloc` it reads
 * everything but the weights: metadata, tokenizer, and whether the tensors are those of the architecture. A process of
 * its own, because llama.cpp aborts on input that it does not expect.
 */
const [, , directory = '', file = ''] = process.argv;
await answerProbe(check);

function check() {
  try {
    const library = loadLibllama(directory);
    library.loadModel(file, {
      ...library.modelDefaultParams(),
      n_gpu_layers: 0,
      no_alloc: true,
      load_mode: enumerators.LLAMA_LOAD_MODE_NONE,
    });
    return null;
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    return toWireError(error, 'engine-failed');
  }
}
