import {
  plannedSpecSchema,
  stagePlacementSchema,
  wireErrorSchema,
  type GenerationRequest,
  type ReadAlongRequest,
} from '@skein/protocol';
import { z } from 'zod';

import { gpuOptionsSchema } from '../hardware/gpu-options.ts';

/**
 * File descriptor of the control pipe, with the messages between a peer and its engine process. The ring's messages
 * have a pipe of their own (file descriptor 4), whose bytes are those of the ring streams.
 */
export const controlDescriptor = 3;
export const ringDescriptor = 4;

const generationId = z.string().min(1).max(64);

/**
 * The stage that an engine process loads. It is the first message; `engine-ready` answers it, or `engine-failed` and
 * exit.
 */
const engineLoadSchema = z.object({
  type: z.literal('engine-load'),
  /** Directory of llama.cpp's shared libraries. */
  libraryDirectory: z.string(),
  /** Directory of an older build of the GPU backend, for when the first does not load. */
  fallbackDirectory: z.string().optional(),
  /** Stage file, or the whole model when it is not split. */
  file: z.string(),
  /** The lead's file with tokenizer and token embeddings. Only on the lead of a split model. */
  frontFile: z.string().optional(),
  stage: z.number().int().nonnegative(),
  stages: z.number().int().positive(),
  /** Number of layers in the file. */
  layers: z.number().int().positive(),
  /** Size of the KV cache of those layers, in bytes: with the weights it decides how many fit on GPUs. */
  cacheBytes: z.number().nonnegative(),
  /** Names from the architecture's entry in the list of splittable ones; unused when the model is whole. */
  hiddenTensor: z.string(),
  inputTensor: z.string().optional(),
  hiddenSize: z.number().int().positive(),
  /** The spec of the deployment. */
  spec: plannedSpecSchema,
  /** Tokens of finished and preempted sequences that may be kept outside the KV cache, in main memory. */
  swapTokens: z.number().int().nonnegative(),
  /** Number of the file's first layers whose experts stay in main memory. Default: as few as GPUs need. */
  cpuExpertLayers: z.number().int().nonnegative().optional(),
  /** Engine threads here: those of the spec, if it says so and the machine has them. */
  threads: z.number().int().positive(),
  /** Whether the machine shall stay awake for as long as the process runs. */
  keepAwake: z.boolean().optional(),
  /** GPUs to use. Left out, the CPU computes, and no GPU is touched. */
  gpu: z.object({ backend: z.string(), options: gpuOptionsSchema }).optional(),
});
export type EngineLoad = z.infer<typeof engineLoadSchema>;

/** Durations measured right after a stage was loaded, with an empty cache. */
export const stageSpeedSchema = z.object({
  /** Time of one row through one layer. */
  decodeMsPerLayer: z.number().nonnegative(),
  /** Time of one of many rows through one layer. */
  prefillMsPerTokenPerLayer: z.number().nonnegative(),
  /** Time to un-embed one row and draw a token; 0 on stages other than the tail. */
  headMs: z.number().nonnegative(),
});
export type StageSpeed = z.infer<typeof stageSpeedSchema>;

/** The part of a request that its engine reads. */
type EngineGeneration = Pick<
  GenerationRequest,
  'prompt' | 'sampling' | 'maxTokens' | 'stop' | 'speculation' | 'askedAt' | 'resume'
>;

/** The part of a request to read along that the engine reads. */
type EngineReading = Pick<ReadAlongRequest, 'prompt' | 'askedAt' | 'promptHash' | 'tokens' | 'moves' | 'hearsProgress'>;

const engineEchoSchema = z.object({ type: z.literal('engine-echo') });
const engineEchoRequestSchema = engineEchoSchema.extend({
  /** Whether to sweep the processor's caches behind the answer, since another one follows that is to find them so. */
  sweeps: z.boolean(),
});

export const toEngineSchema = z.discriminatedUnion('type', [
  engineLoadSchema,
  /**
   * Starts a generation; the payload is the packed prompt. The peer has checked the request, and nobody else writes to
   * this pipe.
   */
  z.object({ type: z.literal('generation-start'), id: generationId, generation: z.custom<EngineGeneration>() }),
  /** Starts to read a text along, which ends as a generation does; the payload is the packed prompt. */
  z.object({ type: z.literal('read-along-start'), id: generationId, reading: z.custom<EngineReading>() }),
  z.object({ type: z.literal('generation-cancel'), id: generationId }),
  /** Answered at once, so that the way between the processes can be timed. */
  engineEchoRequestSchema,
  /** The ring was broken: the lead begins anew, with the generations that start behind this. */
  z.object({ type: z.literal('ring-reset') }),
]);
export type ToEngine = z.infer<typeof toEngineSchema>;

export const fromEngineSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('engine-ready'),
    placement: stagePlacementSchema,
    speed: stageSpeedSchema,
    /** Whether its weights are enough to sweep caches over. */
    isHeavy: z.boolean(),
  }),
  z.object({ type: z.literal('engine-failed'), error: wireErrorSchema }),
  engineEchoSchema,
  /** A step has come back without a token, or has failed: a long prompt is being read, say. */
  z.object({ type: z.literal('engine-progress') }),
  /** Nothing is left to do, and no step is on its way: each of the first `requests` requests has ended. */
  z.object({ type: z.literal('engine-idle'), requests: z.number().int().nonnegative() }),
  z.object({
    type: z.literal('engine-load-changed'),
    active: z.number().int(),
    queued: z.number().int(),
    waitingTokens: z.number().int(),
    sequenceMs: z.number().optional(),
    tokensPerSecond: z.number().optional(),
  }),
  /**
   * Tokens of prompts that the cache holds, by their generations, with the answers behind them, and generations of which
   * it holds nothing any more.
   */
  z.object({
    type: z.literal('engine-prefixes-changed'),
    held: z.array(
      z.object({ id: generationId, tokens: z.number().int(), of: z.number().int(), answer: z.string().optional() }),
    ),
    gone: z.array(generationId),
  }),
  /** The payload is a whole frame of the `generate` or `read-along` stream, which the peer passes on as it is. The last one is the end. */
  z.object({ type: z.literal('generation-event'), id: generationId, isLast: z.boolean() }),
  z.object({ type: z.literal('generation-failed'), id: generationId, error: wireErrorSchema }),
]);
export type FromEngine = z.infer<typeof fromEngineSchema>;
