import {
  fromWireError,
  limits,
  parseHeader,
  ringMessageSchema,
  SkeinError,
  toWireError,
  type Frame,
  type RingMessage,
} from '@skein/protocol';

import { type EngineLoad, type FromEngine, type ToEngine } from '../control.ts';
import { ChatTemplate } from '../lead/chat-template.ts';
import { Lead } from '../lead/lead.ts';
import { TokenEmbedder } from '../lead/token-embedder.ts';
import { Tokenizer } from '../lead/tokenizer.ts';
import type { Libllama } from '../libllama/libllama.ts';
import { Stage } from '../stage/stage.ts';
import { chooseOffload } from './offload.ts';

export interface EngineOutputs {
  control(message: FromEngine): void;
  ring(header: RingMessage, payload?: Uint8Array): void;
}

/** One loaded stage: the lead of a pipeline, or a stage that waits for what the ring brings. */
export interface Engine {
  onControl(message: ToEngine): void;
  /** Throws `protocol-violation` for a frame that has no business here. */
  onRing(frame: Frame): void;
}

/** Loads what the message asks for. Throws `engine-failed` and the like. */
export async function createEngine(library: Libllama, load: EngineLoad, outputs: EngineOutputs): Promise<Engine> {
  const offload = chooseOffload(library, load);
  const isSplit = load.stages > 1;
  const isTail = load.stage === load.stages - 1;
  const stage = new Stage(library, {
    file: load.file,
    takesHidden: isSplit,
    hiddenTensor: isTail ? undefined : `${load.hiddenTensor}-${load.layers - 1}`,
    inputTensor: isSplit ? load.inputTensor : undefined,
    hiddenSize: load.hiddenSize,
    contextTokens: load.contextTokens,
    sequences: load.sequences,
    batchTokens: limits.workingBatchTokens,
    threads: load.threads,
    gpuLayers: offload.layers,
  });
  const engine = load.stage === 0 ? await leadEngine(library, load, stage, outputs) : followerEngine(stage, outputs);
  outputs.control({ type: 'engine-ready', gpuLayers: offload.layers, device: offload.device });
  return engine;
}

async function leadEngine(library: Libllama, load: EngineLoad, stage: Stage, outputs: EngineOutputs): Promise<Engine> {
  const front =
    load.frontFile === undefined
      ? { tokenizer: new Tokenizer(library, stage.model), model: stage.model }
      : Tokenizer.open(library, load.frontFile);
  const template = library.modelChatTemplate(front.model, null);
  const lead = new Lead(
    {
      tokenizer: front.tokenizer,
      chatTemplate: template === null ? undefined : new ChatTemplate(template, front.tokenizer.specialTexts()),
      stage,
      embedder: load.frontFile === undefined ? undefined : await TokenEmbedder.open(library, load.frontFile),
      sendStep: (step, hidden) => outputs.ring(step, hidden),
      emit: (id, event) => outputs.control({ type: 'generation-event', id, event }),
      onProgress: () => outputs.control({ type: 'engine-progress' }),
      onLoad: (counts) => outputs.control({ type: 'engine-load-changed', ...counts }),
      now: () => performance.now(),
      defer: (callback) => setImmediate(callback),
    },
    {
      stages: load.stages,
      sequences: load.sequences,
      contextTokens: load.contextTokens,
      batchTokens: limits.workingBatchTokens,
    },
  );
  return {
    onControl(message) {
      switch (message.type) {
        case 'generation-start':
          lead.start(message.id, message.generation);
          break;
        case 'generation-cancel':
          lead.cancel(message.id);
          break;
        case 'engine-load':
          throw new SkeinError('protocol-violation', 'the engine is loaded already');
      }
    },
    onRing(frame) {
      const message = parseHeader(ringMessageSchema, frame.header);
      switch (message.type) {
        case 'sampled':
          lead.completeStep(message);
          break;
        case 'step-failed':
          lead.failStep(message.step, fromWireError(message.error));
          break;
        case 'step':
          throw new SkeinError('protocol-violation', 'a step came back to the lead that made it');
      }
    },
  };
}

function followerEngine(stage: Stage, outputs: EngineOutputs): Engine {
  return {
    onControl(message) {
      throw new SkeinError('protocol-violation', `a ${message.type} reached a stage that is not the lead`);
    },
    onRing(frame) {
      const message = parseHeader(ringMessageSchema, frame.header);
      switch (message.type) {
        case 'step':
          try {
            const output = stage.run(message, { hidden: frame.payload });
            if ('tokens' in output) outputs.ring({ type: 'sampled', step: message.step, tokens: output.tokens });
            else outputs.ring(message, output.hidden);
          } catch (error) {
            const { step, operations } = message;
            outputs.ring({
              type: 'step-failed',
              step,
              operations,
              error: toWireError(error, 'engine-failed'),
            });
          }
          break;
        case 'step-failed':
          stage.run(
            { type: 'step', step: message.step, operations: message.operations, entries: [] },
            { hidden: new Uint8Array(0) },
          );
          outputs.ring(message);
          break;
        case 'sampled':
          throw new SkeinError('protocol-violation', 'sampled tokens reached a stage that is not the lead');
      }
    },
  };
}
