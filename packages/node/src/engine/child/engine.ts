import { randomInt } from 'node:crypto';
import { stat } from 'node:fs/promises';

import {
  encodeFrame,
  fromWireError,
  limits,
  parseMetadataOverride,
  parseHeader,
  ringMessageSchema,
  SkeinError,
  toWireError,
  type Frame,
  type MetadataOverride,
  type RingMessage,
  type Step,
} from '@skein/protocol';

import { type EngineLoad, type FromEngine, type ToEngine } from '../control.ts';
import { ChatTemplate } from '../lead/chat-template/chat-template.ts';
import { Lead, type LeadEvent } from '../lead/lead.ts';
import { TokenEmbedder } from '../lead/token-embedder.ts';
import { Tokenizer } from '../lead/tokenizer.ts';
import type { Libllama } from '../libllama/libllama.ts';
import { microBatchTuning } from '../micro-batch-tuning.ts';
import { activationBytes, decodeActivations, encodeActivations } from '../stage/activations.ts';
import { CacheSweep } from '../stage/cache-sweep.ts';
import { measureSpeed, type MeasuredStage } from '../stage/measure-speed.ts';
import { CompiledGrammars } from '../stage/sampling/grammar/grammar.ts';
import { checkSampling } from '../stage/sampling/check-sampling.ts';
import type { Stage } from '../stage/stage.ts';
import { loadStage } from './load-stage.ts';

/** Numbers among which a lead chooses that of its first step, so that it is no other lead's. */
const firstSteps = 2 ** 40;
/** Slots for finished sequences whose prefixes may be of use again. */
const keptSlots = 8;

export interface EngineOutputs {
  control(message: FromEngine, payload?: Uint8Array): void;
  ring(header: RingMessage, payload?: Uint8Array): void;
  /** Calls back in a later turn, once everything that was sent on the ring has left this process. */
  whenRingIsFlushed(callback: () => void): void;
}

/** One loaded stage: the lead of a pipeline, or a stage that waits for the ring. */
export interface Engine {
  onControl(message: Exclude<ToEngine, { type: 'engine-echo' }>, payload: Uint8Array): void;
  /**
   * Handles a frame from the ring.
   *
   * @throws SkeinError `protocol-violation` for a frame that does not belong here
   */
  onRing(frame: Frame): void;
}

/**
 * Loads the stage that a message describes, and measures it.
 *
 * @throws SkeinError `model-invalid` when llama.cpp refuses the file, `invalid-request` for a chat template that does not
 * parse; the errors of {@link loadStage}
 */
export async function createEngine(library: Libllama, load: EngineLoad, outputs: EngineOutputs): Promise<Engine> {
  const { spec } = load;
  // Before weights are read, on all stages: a lead alone would find it while the others load theirs.
  if (spec.chatTemplate !== undefined) ChatTemplate.assertParses(spec.chatTemplate);
  const isSplit = load.stages > 1;
  const isTail = load.stage === load.stages - 1;
  const grammars = new CompiledGrammars();
  const { stage, placement } = await loadStage(library, load, {
    grammars,
    file: load.file,
    takesHidden: isSplit,
    hiddenTensor: isTail ? undefined : `${load.hiddenTensor}-${load.layers - 1}`,
    inputTensor: isSplit ? load.inputTensor : undefined,
    hiddenSize: load.hiddenSize,
    contextTokens: spec.contextTokens,
    cacheType: spec.cacheType,
    valueCacheType: spec.valueCacheType,
    windowedCache: spec.windowedCache,
    positions: spec,
    overrides: overridesOf(spec),
    locksMemory: spec.lockMemory,
    sequences: slotsFor(spec),
    swapTokens: load.swapTokens,
    batchTokens: spec.microBatchRows,
    threads: load.threads,
  });
  const gpuLayers = placement.devices.reduce((sum, { layers }) => sum + layers, 0);
  const { hiddenSize, layers } = load;
  const { contextTokens } = spec;
  const isLead = load.stage === 0;
  const shape = { hiddenSize, layers, takesHidden: isSplit, isTail, isLead, contextTokens };
  using caches = CacheSweep.for(load.gpu === undefined ? (await stat(load.file)).size : 0);
  const measured = measureSpeed(stage, { ...shape, caches });
  const engine = isLead
    ? await leadEngine({ library, stage, measured, grammars, gpuLayers }, load, outputs)
    : followerEngine(stage, load, outputs);
  outputs.control({ type: 'engine-ready', placement, speed: measured.speed, isHeavy: caches.isAny });
  return engine;
}

/**
 * Returns the number of slots of a stage: one for each sequence that runs, and some for finished ones, unless they are of
 * no use again.
 */
function slotsFor({ sequences, windowedCache = false }: EngineLoad['spec']): number {
  return windowedCache ? sequences : Math.min(sequences + keptSlots, limits.maxSlots);
}

function overridesOf({ metadataOverrides = [] }: EngineLoad['spec']): readonly MetadataOverride[] {
  return metadataOverrides.map(parseMetadataOverride);
}

async function leadEngine(
  {
    library,
    stage,
    measured,
    grammars,
    gpuLayers,
  }: { library: Libllama; stage: Stage; measured: MeasuredStage; grammars: CompiledGrammars; gpuLayers: number },
  load: EngineLoad,
  outputs: EngineOutputs,
): Promise<Engine> {
  const front =
    load.frontFile === undefined
      ? { tokenizer: new Tokenizer(library, stage.model), model: stage.model }
      : Tokenizer.open(library, load.frontFile, overridesOf(load.spec));
  const template = load.spec.chatTemplate ?? library.modelChatTemplate(front.model, null);
  const chatTemplate = ChatTemplate.of(template, front.tokenizer.specialTexts());
  const lead = new Lead(
    {
      tokenizer: front.tokenizer,
      chatTemplate,
      stage,
      embedder: load.frontFile === undefined ? undefined : await TokenEmbedder.open(library, load.frontFile),
      sendStep: sendActivations(load, outputs),
      checkSampling: (sampling) =>
        checkSampling(sampling, { vocabularySize: front.tokenizer.vocabularySize, grammars }),
      emit: (id, event) => sendEvent(outputs, id, event),
      onProgress: () => outputs.control({ type: 'engine-progress' }),
      onIdle: (requests) => outputs.control({ type: 'engine-idle', requests }),
      onLoad: (counts) => outputs.control({ type: 'engine-load-changed', ...counts }),
      onPrefixes: ({ held, gone }) =>
        outputs.control({ type: 'engine-prefixes-changed', held: [...held], gone: [...gone] }),
      now: () => performance.now(),
      defer: (callback) => outputs.whenRingIsFlushed(callback),
    },
    {
      stages: load.stages,
      // It may take the place of a lead that was lost.
      ...(load.stages > 1 && { firstStep: randomInt(firstSteps) }),
      sequences: load.spec.sequences,
      slots: slotsFor(load.spec),
      contextTokens: load.spec.contextTokens,
      ...microBatchTuning(gpuLayers, load.spec.microBatchRows),
      rewinds: stage.rewinds,
      // A GPU's attention passes over blocks that are none of a row's business; a CPU's looks at every cell.
      swapTokens: gpuLayers === 0 && stage.swaps ? load.swapTokens : 0,
      stepCosts: measured.stepCosts,
    },
  );
  return {
    onControl(message, payload) {
      switch (message.type) {
        case 'generation-start': {
          const { prompt, ...settings } = message.generation;
          lead.start(message.id, { ...settings, prompt: { type: prompt, bytes: payload } });
          break;
        }
        case 'read-along-start': {
          const { prompt, ...reading } = message.reading;
          lead.read(message.id, { ...reading, prompt: { type: prompt, bytes: payload } });
          break;
        }
        case 'generation-cancel':
          lead.cancel(message.id);
          break;
        case 'ring-reset':
          lead.resetRing();
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

/**
 * Sends an event as a frame that the peer passes on unread. An error goes as a message, since the peer may know more
 * about it.
 */
function sendEvent(outputs: EngineOutputs, id: string, event: LeadEvent): void {
  if (event.type === 'generation-error') outputs.control({ type: 'generation-failed', id, error: event.error });
  else {
    const isLast = event.type === 'generation-end' || event.type === 'read-along-end';
    outputs.control({ type: 'generation-event', id, isLast }, encodeFrame(event));
  }
}

/**
 * Returns the function that sends this stage's micro-batches on, with hidden rows in the encoding that the load asks
 * for.
 */
function sendActivations(load: EngineLoad, outputs: EngineOutputs): (step: Step, hidden: Uint8Array) => void {
  const { activations } = load.spec;
  return (step, hidden) => outputs.ring({ ...step, activations }, encodeActivations(hidden, activations));
}

function followerEngine(stage: Stage, load: EngineLoad, outputs: EngineOutputs): Engine {
  const send = sendActivations(load, outputs);
  return {
    onControl(message) {
      throw new SkeinError('protocol-violation', `a ${message.type} reached a stage that is not the lead`);
    },
    onRing(frame) {
      const message = parseHeader(ringMessageSchema, frame.header);
      switch (message.type) {
        case 'step':
          try {
            const output = stage.run(message, { hidden: hiddenOf(message, frame.payload) });
            if ('draws' in output) outputs.ring({ type: 'sampled', step: message.step, draws: output.draws });
            else send(message, output.hidden);
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
          stage.runFailed(message);
          outputs.ring(message);
          break;
        case 'sampled':
          throw new SkeinError('protocol-violation', 'sampled tokens reached a stage that is not the lead');
      }
    },
  };
}

function hiddenOf({ step, activations = 'f32' }: Step, payload: Uint8Array): Uint8Array {
  if (payload.byteLength % activationBytes[activations] !== 0) {
    throw new SkeinError('protocol-violation', `step ${step} has ${payload.byteLength} bytes of ${activations}`);
  }
  return decodeActivations(payload, activations);
}
