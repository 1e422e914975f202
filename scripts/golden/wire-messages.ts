import {
  aliveSchema,
  bytesAnswerSchema,
  bytesRequestSchema,
  cardSchema,
  certificateSchema,
  clientRequestSchema,
  credentialsSchema,
  freshCardRequestSchema,
  generationEventSchema,
  fromText,
  generationRequestSchema,
  handshakeHelloSchema,
  handshakeWelcomeSchema,
  inviteSchema,
  joinAnswerSchema,
  joinRequestSchema,
  leaveAnswerSchema,
  leaveRequestSchema,
  manifestAnswerSchema,
  manifestRequestSchema,
  measureEchoSchema,
  measureProbeSchema,
  modelManifestSchema,
  promptSchema,
  renewRequestSchema,
  revocationListSchema,
  revocationsSchema,
  ringMessageSchema,
  ringOpenAnswerSchema,
  ringOpenSchema,
  signedCardSchema,
  stageAttachSchema,
  stageCommandSchema,
  stageEventSchema,
  stageLoadSchema,
  streamErrorSchema,
  type methods,
} from '@skein/protocol';
import type { z } from 'zod';

/** Messages of one schema, with an example of each kind. */
export interface WireMessages {
  readonly name: string;
  readonly schema: z.ZodType;
  readonly examples: readonly object[];
}

const peer = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
const mesh = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
const sha256 = 'ab'.repeat(32);
const block = { from: 0, to: 2 };
const signed = { bytes: Uint8Array.of(1, 2, 3), signature: new Uint8Array(64) };
const credentials = { certificate: signed, revocations: signed };
const error = { code: 'overloaded', message: 'x', details: { stage: 1 } };
const operations = [
  { type: 'remove', sequence: 0, from: 2 },
  { type: 'copy', sequence: 0, to: 1, before: 4 },
  { type: 'swap-out', sequence: 1, place: 0, from: 1, before: 3 },
  { type: 'swap-in', place: 0, sequence: 1, before: 3 },
  { type: 'swap-discard', place: 0 },
  {
    type: 'sample-with',
    sequence: 0,
    sampling: { temperature: 0.5, topP: 0.9, topK: 40, minP: 0.05, seed: 7 },
    history: [1, 2],
    generated: 1,
    mu: 2.5,
  },
];
/** A spec with all options that a deployment can ask for. */
export const plannedSpec = {
  model: sha256,
  contextTokens: 256,
  microBatchRows: 512,
  sequences: 1,
  cacheType: 'q5_1',
  valueCacheType: 'bf16',
  windowedCache: true,
  activations: 'f32',
  ropeScaling: 'yarn',
  ropeScale: 4,
  ropeFrequencyBase: 10_000,
  yarnOriginalContext: 64,
  yarnExtrapolation: 0.5,
  yarnAttention: 1.5,
  yarnBetaSlow: 1,
  yarnBetaFast: 32,
  chatTemplate: '{{ messages[0].content }}',
  lockMemory: true,
  metadataOverrides: ['llama.rope.freq_base=float:1234', 'general.name=str:x'],
  cpuExpertLayers: 1,
};
const placement = {
  backend: 'vulkan',
  devices: [{ name: 'a GPU', layers: 1, bytes: 8 }],
  cpuLayers: 1,
  expertLayers: 1,
  fallbacks: ['an older build'],
};
const logprobs = [{ token: 1, logprob: -0.5, bytes: [97], top: [{ token: 2, logprob: -1.5, bytes: [98] }] }];

const of = (name: string, schema: z.ZodType, ...examples: object[]): WireMessages => ({ name, schema, examples });

/** All messages of each method. A method without any does not compile. */
export const messagesOf: Readonly<Record<keyof typeof methods, readonly WireMessages[]>> = {
  handshake: [
    of('hello', handshakeHelloSchema, {
      type: 'handshake-hello',
      certificate: signed,
      revocations: 1,
      extra: true,
    }),
    of('welcome', handshakeWelcomeSchema, { type: 'handshake-welcome', certificate: signed, revocations: 1 }),
  ],
  join: [
    of('request', joinRequestSchema, { type: 'join-request', secret: new Uint8Array(16), name: 'attic' }),
    of('answer', joinAnswerSchema, { type: 'join-granted', ...credentials }, { type: 'join-pending' }),
  ],
  renew: [
    of('request', renewRequestSchema, { type: 'renew-request' }),
    of('answer', credentialsSchema, { type: 'credentials', ...credentials }),
  ],
  admitClient: [
    of('request', clientRequestSchema, { type: 'client-request', peer }),
    of('answer', credentialsSchema, { type: 'credentials', ...credentials }),
  ],
  leave: [
    of('request', leaveRequestSchema, { type: 'leave-request' }),
    of('answer', leaveAnswerSchema, { type: 'left' }),
  ],
  revocations: [of('list', revocationsSchema, { type: 'revocations', list: signed })],
  card: [of('card', signedCardSchema, { type: 'card', signature: new Uint8Array(64), certificate: signed })],
  freshCard: [
    of('request', freshCardRequestSchema, { type: 'fresh-card-request' }),
    of('answer', signedCardSchema, { type: 'card', signature: new Uint8Array(64), certificate: signed }),
  ],
  alive: [of('heartbeat', aliveSchema, { type: 'alive', deadAfterMs: 1200 })],
  manifest: [
    of('request', manifestRequestSchema, { type: 'manifest-request', model: sha256 }),
    of('answer', manifestAnswerSchema, { type: 'manifest' }),
  ],
  bytes: [
    of('request', bytesRequestSchema, {
      type: 'bytes-request',
      model: sha256,
      ranges: [{ offset: 0, bytes: 9 }],
    }),
    of('answer', bytesAnswerSchema, { type: 'model-bytes' }, { type: 'bytes-end' }),
  ],
  measure: [
    of('probe', measureProbeSchema, { type: 'measure-probe' }),
    of('echo', measureEchoSchema, { type: 'measure-echo', bytes: 5 }),
  ],
  stage: [
    of(
      'load',
      stageLoadSchema,
      {
        type: 'stage-load',
        deployment: 'deployment-1',
        manifest: sha256,
        name: 'tiny',
        stage: 0,
        stages: 2,
        block,
        previous: peer,
        sources: [peer],
        spec: {
          model: sha256,
          stages: 2,
          layers: [2, 6],
          contextTokens: 256,
          microBatchRows: 512,
          sequences: 1,
          cacheType: 'q8_0',
          activations: 'f16',
          threads: 2,
        },
      },
      {
        type: 'stage-load',
        deployment: 'deployment-2',
        manifest: sha256,
        name: 'tiny',
        stage: 0,
        stages: 1,
        block,
        sources: [peer],
        spec: plannedSpec,
      },
      {
        type: 'stage-load',
        deployment: 'deployment-3',
        manifest: sha256,
        name: 'tiny',
        stage: 0,
        stages: 1,
        block,
        sources: [peer],
        spec: plannedSpec,
        graceMs: 600_000,
      },
      {
        type: 'stage-load',
        deployment: 'deployment-4',
        lease: { epoch: 4, holder: peer },
        manifest: sha256,
        name: 'tiny',
        stage: 0,
        stages: 1,
        block,
        sources: [peer],
        spec: plannedSpec,
      },
    ),
    of(
      'attach',
      stageAttachSchema,
      { type: 'stage-attach', deployment: 'deployment-1', stage: 1 },
      { type: 'stage-attach', deployment: 'deployment-1', lease: { epoch: 4, holder: peer }, stage: 1 },
    ),
    of(
      'command',
      stageCommandSchema,
      { type: 'stage-connect', next: peer },
      { type: 'stage-drain' },
      { type: 'stage-unload' },
    ),
    of(
      'event',
      stageEventSchema,
      { type: 'stage-progress', phase: 'fetch', doneBytes: 1, totalBytes: 2 },
      { type: 'stage-ready', backend: 'cpu', fetchedBytes: 1, fileBytes: 2 },
      { type: 'stage-ready', backend: 'vulkan', fetchedBytes: 1, fileBytes: 2, placement },
      {
        type: 'stage-ready',
        backend: 'cuda',
        fetchedBytes: 1,
        fileBytes: 2,
        placement: {
          backend: 'cuda',
          devices: [{ name: 'gpu', layers: 2, bytes: 3 }],
          cpuLayers: 1,
          expertLayers: 1,
          fallbacks: ['once'],
        },
      },
      { type: 'stage-connected' },
      { type: 'stage-draining', running: 1 },
      { type: 'stage-failed', error },
    ),
  ],
  ring: [
    of('open', ringOpenSchema, { type: 'ring-open', deployment: 'deployment-1', stage: 1 }),
    of('answer', ringOpenAnswerSchema, { type: 'ring-accepted' }),
    of(
      'message',
      ringMessageSchema,
      {
        type: 'step',
        step: 1,
        operations,
        entries: [{ sequence: 0, position: 0, count: 2, sample: true, draft: [7] }],
        activations: 'f16',
      },
      {
        type: 'sampled',
        step: 1,
        draws: [
          {
            sequence: 0,
            tokens: [1],
            logprobs: [{ token: 1, logprob: -0.5, top: [{ token: 2, logprob: -1.5 }] }],
            mus: [2.5],
          },
          { sequence: 1, tokens: [], error },
        ],
      },
      { type: 'step-failed', step: 1, operations: [], error },
    ),
  ],
  generate: [
    of('request', generationRequestSchema, {
      type: 'generate',
      request: 'chatcmpl-1',
      deployment: 'deployment-1',
      prompt: 'chat',
      sampling: {
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        minP: 0.05,
        typicalP: 0.9,
        xtc: { probability: 0.5, threshold: 0.1 },
        penalties: { lastTokens: 64, repeat: 1.1, frequency: 0.5, presence: 0.5 },
        dry: { multiplier: 1, base: 1.75, allowedLength: 2, lastTokens: -1, breakers: ['.'] },
        mirostat: { version: 2, tau: 5, eta: 0.1 },
        logitBias: [{ token: 1, bias: -100 }],
        grammar: 'root ::= "a"',
        logprobs: 1,
        seed: 7,
      },
      maxTokens: 8,
      stop: ['.'],
      jsonSchema: '{}',
      speculation: false,
      askedAt: 1_700_000_000_000,
      resume: { promptHash: sha256, tokens: [5, 6, 7], emittedCharacters: 4, mu: 9.5 },
      mayHandOver: true,
    }),
    of(
      'event',
      generationEventSchema,
      { type: 'generation-begin', promptTokens: 3, promptHash: sha256, maxTokens: 8 },
      { type: 'text-delta', text: 'x', tokens: [1], logprobs, mu: 1.5 },
      {
        type: 'generation-end',
        finishReason: 'stop',
        usage: { promptTokens: 3, completionTokens: 1, cachedTokens: 2, draftedTokens: 2, acceptedTokens: 1 },
        timings: { firstTokenMs: 1.5, decodeMs: 2.5 },
      },
      { type: 'generation-error', error },
    ),
  ],
};

/** The message that may end any stream. */
export const streamErrors: WireMessages = of('error', streamErrorSchema, { type: 'stream-error', error });

/** Prompts, which go as payloads. */
export const packedPrompts: WireMessages = of(
  'prompt',
  promptSchema,
  { type: 'text', text: 'h\u00e9' },
  { type: 'tokens', tokens: [1, 2, 300] },
  {
    type: 'chat',
    messages: [
      fromText({ role: 'user', content: 'hello', name: 'me' }),
      {
        role: 'assistant',
        parts: [
          { type: 'text', text: 'a' },
          { type: 'text', text: '' },
        ],
      },
    ],
  },
);

/** Invites, which people copy as text. */
export const invites: WireMessages = of('invite', inviteSchema, {
  mesh,
  secret: new Uint8Array(16),
  peer,
  addresses: ['/ip4/127.0.0.1/tcp/1'],
});

/** Statements that are hashed or signed as they are encoded, each with an example. */
export const statements: Readonly<Record<string, WireMessages>> = {
  'manifest-1': of(
    'manifest',
    modelManifestSchema,
    {
      model: sha256,
      bytes: 9,
      name: 'tiny',
      shape: {
        architecture: 'llama',
        layers: 8,
        hiddenSize: 64,
        vocabularySize: 512,
        contextLength: 256,
        kvBytesPerTokenPerLayer: 128,
        split: { allowed: true, multiple: 1 },
      },
      sections: [
        { kind: 'metadata', name: 'general.name', offset: 0, bytes: 4, sha256 },
        { kind: 'tensor', name: 'output.weight', offset: 4, bytes: 5, sha256, type: 1, shape: [5] },
      ],
    },
    {
      model: sha256,
      bytes: 5,
      name: 'tiny',
      shape: {
        architecture: 'gemma3',
        layers: 8,
        hiddenSize: 64,
        vocabularySize: 512,
        contextLength: 256,
        kvBytesPerTokenPerLayer: 128,
        split: { allowed: false, reason: 'x' },
        slidingWindow: { tokens: 8, period: 6 },
        experts: { count: 8, used: 2 },
      },
      sections: [{ kind: 'tensor', name: 'output.weight', offset: 0, bytes: 5, sha256, type: 1, shape: [5] }],
    },
  ),
  'certificate-1': of('certificate', certificateSchema, {
    mesh,
    peer,
    roles: ['peer', 'coordinator'],
    name: 'attic',
    labels: { room: 'attic' },
    epoch: 1,
    issuedAt: 1_700_000_000_000,
    expiresAt: 1_800_000_000_000,
  }),
  'revocation-list-1': of('revocation list', revocationListSchema, {
    mesh,
    version: 2,
    issuedAt: 1_700_000_000_000,
    epoch: 1,
    graceEndsAt: 0,
    holder: peer,
    revoked: [{ peer, revokedAt: 1_700_000_000_000 }],
  }),
  'card-2': of(
    'card',
    cardSchema,
    {
      peer,
      version: 1,
      roles: ['peer'],
      authority: true,
      labels: { room: 'attic' },
      name: 'attic',
      software: 'skein/0.1.0',
      connected: 3,
      addresses: ['/ip4/127.0.0.1/tcp/1'],
      hardware: {
        platform: 'linux x64',
        cpu: 'a processor',
        cores: 4,
        memoryBytes: 8,
        freeMemoryBytes: 4,
        backend: 'cpu',
        gpus: [{ name: 'a GPU', memoryBytes: 8, freeMemoryBytes: 4 }],
      },
      models: [{ model: sha256, manifest: sha256, name: 'tiny', aliases: ['small'], bytes: 1, unusable: 'is damaged' }],
      stages: [
        {
          deployment: 'deployment-1',
          model: sha256,
          name: 'tiny',
          stage: 0,
          stages: 1,
          block,
          state: 'ready',
          contextTokens: 256,
          sequences: 1,
          bytes: 9,
          active: 1,
          queued: 0,
          speed: { decodeMsPerLayer: 0.5, prefillMsPerTokenPerLayer: 0.25, headMs: 1.5 },
        },
      ],
      links: [{ peer, roundTripMs: 0.5, bytesPerSecond: 1000, measuredAt: 1_700_000_000_000 }],
    },
    {
      peer,
      version: 1,
      roles: ['peer'],
      name: 'attic',
      software: 'skein/0.1.0',
      addresses: [],
      hardware: {
        platform: 'linux x64',
        cpu: 'a processor',
        cores: 4,
        memoryBytes: 8,
        freeMemoryBytes: 4,
        backend: 'vulkan',
        gpus: [{ name: 'a GPU', memoryBytes: 8, freeMemoryBytes: 4, sharesMainMemory: true }],
        speeds: [
          {
            backend: 'vulkan',
            layerBytes: 4,
            layerWeights: 8,
            decodeBytesPerSecond: 2.5,
            prefillFlops: 7.5,
            prefillRows: 16,
          },
        ],
      },
      models: [],
      stages: [
        {
          deployment: 'deployment-2',
          model: sha256,
          name: 'tiny',
          stage: 0,
          stages: 1,
          block,
          state: 'ready',
          contextTokens: 256,
          sequences: 1,
          bytes: 9,
          active: 0,
          queued: 0,
          placement,
        },
      ],
    },
    {
      peer,
      version: 1,
      roles: ['coordinator', 'peer'],
      name: 'attic',
      software: 'skein/0.1.0',
      addresses: [],
      lease: { epoch: 4, holder: peer, isHolderSeen: true },
      fence: { epoch: 3, holder: peer, isHolderSeen: false },
      models: [],
      stages: [],
    },
    {
      peer,
      version: 1,
      roles: ['peer'],
      name: 'attic',
      software: 'skein/0.1.0',
      addresses: [],
      models: [],
      stages: [
        {
          deployment: 'deployment-3',
          model: sha256,
          name: 'tiny',
          stage: 0,
          stages: 1,
          block,
          state: 'ready',
          contextTokens: 256,
          sequences: 1,
          bytes: 9,
          active: 1,
          queued: 2,
          waitingTokens: 1024,
          sequenceMs: 2500,
        },
      ],
    },
  ),
};
