import { createHash } from 'node:crypto';

import {
  deploymentDefaults,
  type Card,
  type DeploymentStatus,
  encodeValue,
  type HeldStage,
  type ModelManifest,
  type ModelShape,
} from '@skein/protocol';

import type { DesiredDeployment } from '../deployments/desired-state.ts';

export const mebibyte = 1024 * 1024;
export const gibibyte = 1024 * mebibyte;

/** Returns the SHA-256 of a content, in hexadecimal digits. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export interface ManifestFixture {
  readonly name?: string;
  readonly layers?: number;
  readonly layerBytes?: number | readonly number[];
  /** Size of each layer's experts, beside `layerBytes`. Default: it has none. */
  readonly expertBytes?: number;
  readonly embeddingBytes?: number;
  /** Size of the output matrix. Default: the model ties its output to the embeddings. */
  readonly outputBytes?: number;
  readonly shape?: Partial<ModelShape>;
}

/** Makes a manifest with one tensor per layer, of sizes that are easy to calculate with. */
export function manifestOf(options: ManifestFixture = {}): ModelManifest {
  const { name = 'test-model', layers = 8, layerBytes = mebibyte, embeddingBytes = mebibyte, outputBytes } = options;
  const { expertBytes } = options;
  let offset = 0;
  const tensor = (tensorName: string, bytes: number): ModelManifest['sections'][number] => {
    const section = { offset, bytes, sha256: sha256(tensorName), type: 0, shape: [bytes] };
    offset += bytes;
    return { kind: 'tensor', name: tensorName, ...section };
  };
  const bytesOf = (layer: number) => (typeof layerBytes === 'number' ? layerBytes : (layerBytes[layer] ?? 0));
  const sections = [
    tensor('token_embd.weight', embeddingBytes),
    ...Array.from({ length: layers }, (_, layer) => tensor(`blk.${layer}.ffn_up.weight`, bytesOf(layer))),
    ...(expertBytes === undefined
      ? []
      : Array.from({ length: layers }, (_, layer) => tensor(`blk.${layer}.ffn_up_exps.weight`, expertBytes))),
    tensor('output_norm.weight', 1024),
    ...(outputBytes === undefined ? [] : [tensor('output.weight', outputBytes)]),
  ];
  const shape: ModelShape = {
    architecture: 'llama',
    layers,
    hiddenSize: 64,
    vocabularySize: 256,
    contextLength: 2048,
    kvBytesPerTokenPerLayer: 256,
    split: { allowed: true, multiple: 1 },
    ...options.shape,
  };
  return { model: sha256(name), bytes: offset, name, shape, sections };
}

export interface CardFixture {
  readonly peer: string;
  readonly freeBytes?: number;
  readonly holds?: readonly ModelManifest[];
  readonly card?: Partial<Card>;
}

/** Makes the card of a peer on a machine without GPU. */
export function cardOf({ peer, freeBytes = 8 * gibibyte, holds = [], card }: CardFixture): Card {
  return {
    peer,
    version: 1,
    roles: ['peer'],
    name: peer.slice(0, 8),
    software: 'test',
    addresses: [],
    hardware: {
      platform: 'linux',
      cpu: 'test',
      cores: 4,
      memoryBytes: 16 * gibibyte,
      freeMemoryBytes: freeBytes,
      backend: 'cpu',
      gpus: [],
    },
    models: holds.map((manifest) => ({
      model: manifest.model,
      manifest: sha256(encodeValue(manifest)),
      name: manifest.name,
      bytes: manifest.bytes,
    })),
    stages: [],
    ...card,
  };
}

/** Makes the entry of a card for an idle, ready lead of a model of one stage. */
export function heldStageOf(deployment: string): HeldStage {
  return {
    deployment,
    model: sha256('tiny'),
    name: 'tiny',
    stage: 0,
    stages: 1,
    block: { from: 0, to: 8 },
    state: 'ready',
    contextTokens: 1024,
    sequences: 4,
    bytes: 0,
    active: 0,
    queued: 0,
  };
}

/** Returns a peer id that passes the schema. Ids sort by their numbers. */
export function peerIdOf(number: number): string {
  return `12D3KooWTestPeer${String(number).padStart(4, '0')}`;
}

/** Returns a source of deterministic numbers in [0, 1) for property-style tests (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Makes a coordinator's description of a ready deployment of `tiny`, with the given changes. */
export function statusOf(change: Partial<DeploymentStatus> = {}): DeploymentStatus {
  return {
    id: 'deployment-1',
    model: 'ab'.repeat(32),
    name: 'tiny',
    state: 'ready',
    stages: [],
    ...deploymentDefaults,
    contextTokens: 4096,
    microBatchRows: 128,
    explanation: 'not split',
    startedAt: 1,
    ...change,
  };
}

/** Makes a deployment that somebody asked for, as it is on its first day, with changes. */
export function desiredOf(
  id: string,
  { spec, ...change }: Partial<DesiredDeployment> & Pick<DesiredDeployment, 'spec'>,
): DesiredDeployment {
  return {
    id,
    name: 'tiny',
    spec,
    goal: 'serve',
    isReplacement: false,
    isOnDemand: false,
    patience: 'none',
    placement: undefined,
    replacedBy: undefined,
    evicted: [],
    ...change,
  };
}
