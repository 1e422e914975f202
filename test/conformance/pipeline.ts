import type { StepEntry } from '@skein/protocol';

import type { TokenEmbedder } from '../../packages/node/src/engine/lead/token-embedder.ts';
import type { Stage } from '../../packages/node/src/engine/stage/stage.ts';

/** A micro-batch: the entries of its sequences, and the tokens of all entries in order. */
export interface MicroBatchOfTokens {
  readonly entries: readonly StepEntry[];
  readonly tokens: Int32Array;
}

/** A model, whole or in stages, that turns tokens into logits. */
export interface Pipeline extends Disposable {
  /** Returns the logits after the last row of each entry that is sampled from, in the entries' order. */
  run(batch: MicroBatchOfTokens): Float32Array[];
}

/** Makes a pipeline of a model in one piece, which looks tokens up itself: the reference. */
export function wholePipeline(stage: Stage): Pipeline {
  return {
    run({ entries, tokens }) {
      stage.run({ type: 'step', step: 0, operations: [], entries: [...entries] }, { tokens });
      return sampledLogits(stage, entries);
    },
    [Symbol.dispose]() {
      stage[Symbol.dispose]();
    },
  };
}

/** Makes a pipeline of stages in one process, one after another, with the rows handed over as they would cross the wire. */
export function stagedPipeline(embedder: TokenEmbedder, stages: readonly Stage[]): Pipeline {
  const tail = stages.at(-1);
  if (tail === undefined) throw new RangeError('a pipeline has at least one stage');
  return {
    run({ entries, tokens }) {
      let hidden = embedder.lookUp(tokens);
      for (const stage of stages) {
        const output = stage.run({ type: 'step', step: 0, operations: [], entries: [...entries] }, { hidden });
        if ('hidden' in output) hidden = output.hidden;
      }
      return sampledLogits(tail, entries);
    },
    [Symbol.dispose]() {
      for (const stage of stages) stage[Symbol.dispose]();
      embedder[Symbol.dispose]();
    },
  };
}

function sampledLogits(tail: Stage, entries: readonly StepEntry[]): Float32Array[] {
  let rows = 0;
  return entries.flatMap(({ count, sample }) => {
    rows += count;
    // llama.cpp overwrites its logits at the next decode.
    return sample ? [tail.logits(rows - 1).slice()] : [];
  });
}
