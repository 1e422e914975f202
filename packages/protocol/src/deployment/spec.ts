import { z } from 'zod';

import type { Immutable } from '../admin/route.ts';
import { arraySchema } from '../codec/array-schema.ts';
import { sha256Schema } from '../ids.ts';
import { SkeinError } from '../errors/skein-error.ts';
import { limits } from '../limits.ts';
import { labelsSchema } from '../mesh/certificate.ts';
import type { ModelShape } from '../model/manifest.ts';
import { activationsSchema } from '../ring/messages.ts';
import { isFixedKey, metadataOverrideSchema, parseMetadataOverride } from './metadata-override.ts';

/** Storage of keys or values in the KV cache, by the name of its ggml type. */
export const cacheTypeSchema = z.enum(['f16', 'bf16', 'q8_0', 'q5_1', 'q4_0']);
export type CacheType = z.infer<typeof cacheTypeSchema>;

/**
 * Least tokens of KV cache for a deployment that does not ask. A model that was trained for fewer gets as many as that,
 * and one that was trained for more gets more where machines have memory to spare.
 */
export const defaultContextTokens = 4096;

/**
 * Rows of the largest micro-batch of a pipeline: `gpu` where each of its machines has a GPU, else `cpu`. Compute buffers
 * grow with it: the planner estimates them, and every stage allocates them.
 */
export const microBatchRows = { cpu: 128, gpu: limits.maxBatchTokens } as const;

/** Scaling of positions: none, linear interpolation, or YaRN. */
export const ropeScalingSchema = z.enum(['none', 'linear', 'yarn']);
export type RopeScaling = z.infer<typeof ropeScalingSchema>;

const positive = (most: number) => z.number().positive().max(most);
const count = (most: number) => z.number().int().positive().max(most);

/** The options of a deployment. To add one, enter it here, its default below, and its flag at the end. */
const options = {
  /** Number of stages of the pipeline. Default: the planner takes as few as the model fits on. */
  stages: count(limits.maxStages).optional(),
  /** Layers of each stage, from the lead on; they add up to the model's. Default: the planner balances them. */
  layers: arraySchema(count(limits.maxLayers), { least: 1, most: limits.maxStages }).optional(),
  /**
   * Tokens of KV cache, shared by all sequences. Default: as many as the model was trained for, or a half, a quarter and so
   * on of them, as far as a quarter of the memory that is left allows; at least {@link defaultContextTokens}.
   */
  contextTokens: count(limits.maxContextTokens).optional(),
  /** Sequences served at once. */
  sequences: count(limits.maxSequences).optional(),
  /**
   * Storage of keys, and of values unless `valueCacheType` says otherwise: `q8_0` takes about half of the memory of
   * `f16`, `q4_0` about a quarter, and they round.
   */
  cacheType: cacheTypeSchema.optional(),
  /** Storage of values. Default: that of keys. */
  valueCacheType: cacheTypeSchema.optional(),
  /**
   * Whether layers that attend to a window keep the keys and values of that window alone. It saves memory; but such a
   * cache can't be cut back, so nothing of an earlier prompt is used again, and no tokens are drafted. Default: no.
   */
  windowedCache: z.boolean().optional(),
  /** Encoding of hidden rows on their way from stage to stage: `f16` takes half of the bytes of `f32`, and rounds. */
  activations: activationsSchema.optional(),
  /** Scaling of positions beyond the context that the model was trained for. Default: as the model's file says. */
  ropeScaling: ropeScalingSchema.optional(),
  /** Factor by which the context grows with `ropeScaling`. Default: the model's. */
  ropeScale: positive(1024).optional(),
  /** Base frequency of the rotary position embedding. Default: the model's. */
  ropeFrequencyBase: positive(1e12).optional(),
  /** Context that the model was trained for, in tokens, with `ropeScaling: 'yarn'`. Default: the model's. */
  yarnOriginalContext: count(limits.maxContextTokens).optional(),
  /** Mix of extrapolation and interpolation with `yarn`, from 0 (all interpolated) to 1. Default: 1, or the model's. */
  yarnExtrapolation: z.number().min(0).max(1).optional(),
  /** Factor on the magnitude of attention with `yarn`. Default: 1, or the model's. */
  yarnAttention: positive(1024).optional(),
  /** Rotations below which `yarn` interpolates. Default: 1, or the model's. */
  yarnBetaSlow: positive(1e6).optional(),
  /** Rotations above which `yarn` extrapolates. Default: 32, or the model's. */
  yarnBetaFast: positive(1e6).optional(),
  /** A chat template, in Jinja, instead of the one in the model's file. */
  chatTemplate: z.string().min(1).max(limits.maxTemplateCharacters).optional(),
  /**
   * Whether weights in main memory are locked there, so that they are never swapped out. A machine that may not lock
   * so much refuses its stage. Default: no.
   */
  lockMemory: z.boolean().optional(),
  /** Values that replace those of the model's metadata, each `key=type:value` with the types int, float, bool and str. */
  metadataOverrides: arraySchema(metadataOverrideSchema, { least: 1, most: 32 }).optional(),
  /**
   * Number of the model's first layers whose experts stay in main memory, where the rest of the layer lies on a GPU.
   * Default: as few as each machine needs to have all layers on its GPUs.
   */
  cpuExpertLayers: count(limits.maxLayers).optional(),
  /** Number of engine threads of each stage. Default: each peer decides. */
  threads: count(1024).optional(),
  /** Labels that each of its machines must have. Default: any machine will do. */
  labels: labelsSchema.optional(),
};

/** The options with a default that is the same for all models and machines. */
const optionsWithDefault = {
  sequences: options.sequences.unwrap().default(4),
  cacheType: cacheTypeSchema.default('f16'),
  activations: activationsSchema.default('f32'),
};
/** The default options themselves. */
export const deploymentDefaults = z.object(optionsWithDefault).parse({});

/** A request to deploy a model, as people and programs send it. Options that are left out get their defaults. */
export const deploymentRequestSchema = z.strictObject({
  /** Name, alias or SHA-256 of a model that some peer holds. */
  model: z.string().min(1).max(limits.maxNameLength),
  ...options,
});
export type DeploymentRequest = Immutable<z.infer<typeof deploymentRequestSchema>>;

/** Options of a deployment without the model. */
export type DeploymentOptions = Omit<DeploymentRequest, 'model'>;

/**
 * The request for one deployment, with all defaults. Options that are still left out are decided where more is known:
 * stages and layers by the planner, the context with the model at hand, threads by each peer.
 */
export const deploymentSpecSchema = z.object({
  ...options,
  /** SHA-256 of the model. */
  model: sha256Schema,
  ...optionsWithDefault,
});
export type DeploymentSpec = z.infer<typeof deploymentSpecSchema>;

/** A spec with all decided that its peers decide, as stages are planned and loaded with it. */
export const plannedSpecSchema = deploymentSpecSchema.extend({
  contextTokens: options.contextTokens.unwrap(),
  /** Rows of the largest micro-batch, see {@link microBatchRows}. Default: those of a CPU. */
  microBatchRows: count(limits.maxBatchTokens).default(microBatchRows.cpu),
});
export type PlannedSpec = z.infer<typeof plannedSpecSchema>;

/**
 * Makes the spec of a request, with all defaults, which stand nowhere else.
 *
 * @param model SHA-256 of the model that the request means
 * @throws SkeinError `invalid-request` for options that contradict each other
 */
export function deploymentSpec(request: DeploymentOptions, model: string): DeploymentSpec {
  checkPositions(request);
  checkOverrides(request);
  return deploymentSpecSchema.parse({ ...request, model });
}

/**
 * Decides the least context of a spec that leaves it out. Micro-batches are those of a CPU, until peers with a GPU are
 * chosen.
 *
 * @param atMost tokens that a model gets unasked. Default: {@link defaultContextTokens}
 */
export function plannedSpec(
  spec: DeploymentSpec,
  { contextLength }: Pick<ModelShape, 'contextLength'>,
  atMost = defaultContextTokens,
): PlannedSpec {
  return {
    ...spec,
    contextTokens: spec.contextTokens ?? Math.min(contextLength, atMost),
    microBatchRows: microBatchRows.cpu,
  };
}

/** Options that mean something with one kind of `ropeScaling` only. */
const yarnOptions = [
  'yarnOriginalContext',
  'yarnExtrapolation',
  'yarnAttention',
  'yarnBetaSlow',
  'yarnBetaFast',
] as const satisfies readonly (keyof DeploymentOptions)[];

function checkPositions(request: DeploymentOptions): void {
  const { ropeScaling, ropeScale } = request;
  const yarn = yarnOptions.find((name) => request[name] !== undefined);
  if (yarn !== undefined && ropeScaling !== 'yarn') {
    throw wrongOption(yarn, `${yarn} needs ropeScaling: 'yarn' (--rope-scaling yarn)`);
  }
  if (ropeScale !== undefined && (ropeScaling === undefined || ropeScaling === 'none')) {
    throw wrongOption('ropeScale', "ropeScale needs ropeScaling: 'linear' or 'yarn' (--rope-scaling)");
  }
}

function checkOverrides({ metadataOverrides = [] }: DeploymentOptions): void {
  const keys = metadataOverrides.map((override) => parseMetadataOverride(override).key);
  const fixed = keys.find(isFixedKey);
  if (fixed !== undefined) {
    throw wrongOption('metadataOverrides', `${fixed} says how the model is built and can't be replaced; leave it out`);
  }
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw wrongOption('metadataOverrides', `${twice} is replaced twice; give one value`);
}

function wrongOption(param: keyof DeploymentOptions, message: string): SkeinError {
  return new SkeinError('invalid-request', message, { details: { param } });
}

/** An option on the command line. */
export interface DeploymentFlag {
  /** Its synopsis, e.g. `--ctx <tokens>`. */
  readonly flag: string;
  readonly description: string;
  /** The effect of leaving out an option without a default, in a few words. */
  readonly otherwise?: string;
}

/** The options on the command line. One without an entry can be given over HTTP only. */
export const deploymentFlags: Readonly<Partial<Record<keyof DeploymentOptions, DeploymentFlag>>> = {
  stages: { flag: '--stages <count>', description: 'over how many machines', otherwise: 'as few as it fits on' },
  layers: {
    flag: '--layers <counts>',
    description: 'layers of each machine, like 17,13',
    otherwise: 'so that all are as fast',
  },
  contextTokens: {
    flag: '--ctx <tokens>',
    description: 'tokens of context, shared by all answers',
    otherwise: `the model's, as far as memory allows, and at least ${defaultContextTokens}`,
  },
  sequences: { flag: '--parallel <n>', description: 'answers at once' },
  cacheType: {
    flag: '--cache-type <type>',
    description: 'storage of keys and values; q8_0 takes half, q5_1 3/8, q4_0 a quarter, and they round',
  },
  valueCacheType: {
    flag: '--cache-type-v <type>',
    description: 'storage of values alone; on GPUs another type than that of keys may be slow',
    otherwise: 'as keys',
  },
  windowedCache: {
    flag: '--window-cache',
    description:
      'keep no more than the window in layers that attend to one (Gemma 3, gpt-oss): less memory, but every prompt is read from its start, and nothing is drafted',
    otherwise: 'off',
  },
  ropeScaling: {
    flag: '--rope-scaling <kind>',
    description: 'how positions beyond the trained context are scaled',
    otherwise: "the model's",
  },
  ropeScale: {
    flag: '--rope-scale <factor>',
    description: 'how much longer the context gets',
    otherwise: "the model's",
  },
  ropeFrequencyBase: {
    flag: '--rope-freq-base <number>',
    description: 'base frequency of positions',
    otherwise: "the model's",
  },
  yarnOriginalContext: {
    flag: '--yarn-orig-ctx <tokens>',
    description: 'context that the model was trained for',
    otherwise: "the model's",
  },
  yarnExtrapolation: {
    flag: '--yarn-ext-factor <number>',
    description: 'share of extrapolation, 0 to 1',
    otherwise: "the model's",
  },
  yarnAttention: {
    flag: '--yarn-attn-factor <number>',
    description: 'factor on attention',
    otherwise: "the model's",
  },
  yarnBetaSlow: {
    flag: '--yarn-beta-slow <number>',
    description: 'rotations below which YaRN interpolates',
    otherwise: "the model's",
  },
  yarnBetaFast: {
    flag: '--yarn-beta-fast <number>',
    description: 'rotations above which YaRN extrapolates',
    otherwise: "the model's",
  },
  chatTemplate: {
    flag: '--chat-template-file <path>',
    description: 'a chat template, in Jinja',
    otherwise: "the model's",
  },
  cpuExpertLayers: {
    flag: '--cpu-moe <layers>',
    description: 'first layers whose experts stay in main memory beside a GPU',
    otherwise: 'as few as needed',
  },
  metadataOverrides: {
    flag: '--override-kv <list>',
    description: "values instead of those of the model's metadata, key=type:value with commas between them",
    otherwise: 'none',
  },
  labels: {
    flag: '--label <key=value>',
    description: 'only on machines with this label, given to them by `skein invite --label`; may be repeated',
    otherwise: 'on any',
  },
  lockMemory: { flag: '--mlock', description: 'lock weights in main memory', otherwise: 'off' },
  activations: {
    flag: '--activations <type>',
    description: 'what crosses between machines; f16 is half, and rounds',
  },
};
