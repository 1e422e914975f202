import { isDeepStrictEqual } from 'node:util';

import {
  adminRoutes,
  cardSchema,
  cardSignatureContext,
  decodeInvite,
  decodeValue,
  deploymentRequestSchema,
  deploymentSpec,
  encodeInvite,
  encodeValue,
  FrameParser,
  parseHeader,
  parseMetadataOverride,
  fromText,
  packPrompt,
  packDigests,
  unpackDigests,
  unpackPrompt,
  type Prompt,
} from '@skein/protocol';
import { decode as decodeDns, encode as encodeDns } from 'dns-packet';
import type * as fc from 'fast-check';
import type { ResponsePacket } from 'multicast-dns';
import type { z } from 'zod';

import { decodeManifest } from '../../packages/mesh/src/calls/encoded-manifest.ts';
import { verifyCard } from '../../packages/mesh/src/cards/signed-card.ts';
import { parseAdmissionHeaders } from '../../packages/coordinator/src/http/admission-headers.ts';
import { JsonParser } from '../../packages/coordinator/src/http/body/json-parser.ts';
import { parseChatRequest } from '../../packages/coordinator/src/http/openai/chat.ts';
import { parseMark } from '../../packages/coordinator/src/http/resumption/index.ts';
import { parseRoutingHeaders } from '../../packages/coordinator/src/http/routing-headers.ts';
import { Turns } from '../../packages/coordinator/src/http/turns.ts';
import { readAnswer } from '../../packages/mesh/src/discovery/mdns-answer.ts';
import { Authority } from '../../packages/mesh/src/membership/authority.ts';
import { grammarOf } from '../../packages/node/src/engine/json-schema/index.ts';
import { ChatTemplate } from '../../packages/node/src/engine/lead/chat-template/chat-template.ts';
import { decodeActivations } from '../../packages/node/src/engine/stage/activations.ts';
import {
  encodeEntry,
  memorySource,
  planGguf,
  planMerge,
  readGgufHead,
  readGgufLayout,
} from '../../packages/node/src/gguf/index.ts';
import { RunningManifest } from '../../packages/node/src/stage-file/index.ts';
import { seededRandom } from '../fixtures/random.ts';
import { messagesOf, plannedSpec, streamErrors, type WireMessages } from '../golden/wire-messages.ts';
import { RandomSchemas } from '../schemas/random-schema.ts';
import { bytesLike, framesLike, headersLike, jsonLike } from './inputs.ts';

/** A decoder of bytes from elsewhere. */
export interface FuzzTarget {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Uint8Array>;
  /** Decodes an input. May throw a SkeinError, and nothing else. */
  decode(input: Uint8Array): Promise<void> | void;
}

const peer = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
const sha256 = 'ab'.repeat(32);
const block = { from: 0, to: 2 };
const signature = new Uint8Array(64);
const maxFrameBytes = 4096;
const turns = new Turns();
const parts = partsExample();
const tag = '_skein-0123456789abcdef._udp.local';

/** Lists the messages of all methods. */
function wireMessages(): readonly WireMessages[] {
  const ofMethods = Object.entries(messagesOf).flatMap(([method, messages]) =>
    messages.map((one) => ({ ...one, name: `${method} ${one.name}` })),
  );
  return [...ofMethods, streamErrors];
}

/** Lists every decoder of bytes that come from another machine. */
export async function fuzzTargets(): Promise<readonly FuzzTarget[]> {
  const authority = await Authority.ephemeral();
  const { identity, membership } = await authority.enroll(['peer']);
  const { certificate, revocations } = membership.credentials;
  const headers = wireMessages();
  const card = encodeValue({
    peer: identity.peerId,
    version: 1,
    roles: ['peer'],
    name: 'x',
    software: 'x',
    addresses: ['/ip4/127.0.0.1/tcp/1'],
    models: [{ model: sha256, manifest: sha256, name: 'tiny', aliases: ['small'], bytes: 1 }],
    stages: [],
  });
  const cardSignature = await identity.privateKey.sign(Buffer.concat([Buffer.from(cardSignatureContext), card]));
  const invite = { mesh: peer, secret: new Uint8Array(16), peer, addresses: ['/ip4/127.0.0.1/tcp/1'] };
  const schemas = new RandomSchemas(seededRandom(1));
  return [
    ...headers.map(({ name, schema, examples }): FuzzTarget => ({
      name: `${name} header`,
      inputs: headersLike(accepted(schema, examples)),
      decode: (input) => void parseHeader(schema, unwrapped(input)),
    })),
    {
      name: 'frames',
      inputs: framesLike(headers.flatMap(({ examples }) => examples)),
      decode: (input) => {
        const parser = new FrameParser({ maxFrameBytes });
        // In pieces, as a network cuts them.
        for (let start = 0; start < input.length; start += 7) parser.push(input.subarray(start, start + 7));
        if (parser.pendingBytes > 2 * maxFrameBytes) throw new Error(`${parser.pendingBytes} bytes are kept`);
      },
    },
    {
      name: 'certificate',
      inputs: bytesLike([certificate.bytes]),
      decode: async (bytes) => void (await membership.verify({ bytes, signature }, identity.peerId)),
    },
    {
      name: 'certificate with its signature',
      inputs: bytesLike([certificate.signature]),
      decode: async (input) => {
        await membership.verify({ bytes: certificate.bytes, signature: input }, identity.peerId);
      },
    },
    {
      name: 'revocation list',
      inputs: bytesLike([revocations.bytes]),
      decode: async (bytes) => void (await membership.adopt({ bytes, signature: revocations.signature })),
    },
    {
      name: 'card',
      inputs: bytesLike([card]),
      decode: async (payload) => {
        const header = { type: 'card', signature: cardSignature, certificate: { ...certificate } };
        await verifyCard({ header, payload }, membership);
      },
    },
    {
      name: 'card content',
      inputs: headersLike([decodeValue(card) as object]),
      decode: (input) => void parseHeader(cardSchema, decodeValue(input)),
    },
    {
      name: 'JSON schema',
      inputs: jsonLike(Array.from({ length: 40 }, () => schemas.draw())),
      decode: (input) => void grammarOf(new TextDecoder().decode(input)),
    },
    { name: 'manifest', inputs: bytesLike([card]), decode: (input) => void decodeManifest(input) },
    {
      name: 'invite',
      inputs: bytesLike([Buffer.from(encodeInvite(invite))]),
      decode: (input) => void decodeInvite(Buffer.from(input).toString('latin1')),
    },
    ...packedPromptTargets(),
    ...prefixTargets(),
    {
      name: 'hidden rows',
      inputs: bytesLike([new Uint8Array(64)]),
      // Whole elements only, as the engine checks before.
      decode: (input) => void decodeActivations(input.subarray(0, input.length & ~1), 'f16'),
    },
    {
      name: 'GGUF',
      inputs: bytesLike([ggufExample()]),
      decode: async (input) => void (await readGgufLayout(memorySource(input))),
    },
    {
      name: 'GGUF that comes in pieces',
      inputs: bytesLike([modelExample()]),
      decode: async (input) => {
        const manifest = new RunningManifest({ bytes: input.byteLength, name: 'tiny' });
        for (let offset = 0; offset < input.byteLength; offset += 100) {
          await manifest.update(input.subarray(offset, offset + 100));
        }
        manifest.finish();
      },
    },
    {
      name: 'GGUF in parts',
      inputs: bytesLike([Buffer.concat(parts)]),
      decode: async (input) => await mergeParts([input.subarray(0, parts[0].length), input.subarray(parts[0].length)]),
    },
    {
      name: 'HTTP body',
      inputs: bytesLike(chatExamples),
      decode: (input) => parseLikeJson(input),
    },
    {
      name: 'chat request',
      inputs: headersLike(chatExamples.map((example) => JSON.parse(String(example)) as object)),
      decode: async (input) => void (await parseChatRequest(decodeValue(input), { randomSeed: () => 1, turns })),
    },
    {
      name: 'labels and session',
      inputs: bytesLike(['zone=eu,class=confidential', '__proto__=x'].map((text) => Buffer.from(text))),
      decode: (input) => {
        const text = headerOf(input);
        const { labels = {} } = parseRoutingHeaders(new Headers({ 'x-skein-labels': text, 'x-session-id': text }));
        if (Object.getPrototypeOf(labels) !== Object.prototype) throw new Error('labels changed their prototype');
      },
    },
    {
      name: 'priority and deadline',
      inputs: bytesLike(['batch', 'interactive', '86400000', '1', '0'].map((text) => Buffer.from(text))),
      decode: (input) => {
        const text = headerOf(input);
        for (const name of ['x-skein-priority', 'x-skein-deadline-ms', 'x-skein-queue-events']) {
          const { deadlineMs = 1 } = parseAdmissionHeaders(new Headers({ [name]: text }));
          if (!(deadlineMs >= 1 && deadlineMs <= 86_400_000)) throw new Error(`a deadline of ${deadlineMs} ms`);
        }
      },
    },
    {
      name: 'mark of an event',
      inputs: bytesLike(['1-1-1-1', 'zzzzzzz-zzzzzzzzzzz-0-0'].map((text) => Buffer.from(text))),
      decode: (input) => {
        const { seed = 0, askedAt = 0 } = parseMark(Buffer.from(input).toString('latin1')) ?? {};
        for (const number of [seed, askedAt]) if (!Number.isSafeInteger(number)) throw new Error(`a mark of ${number}`);
      },
    },
    {
      name: 'deployment options',
      inputs: headersLike([everyOption]),
      decode: (input) => {
        const request = parseHeader(deploymentRequestSchema, unwrapped(input));
        const { metadataOverrides = [] } = deploymentSpec(request, sha256);
        for (const override of metadataOverrides) parseMetadataOverride(override);
      },
    },
    {
      name: 'metadata override',
      inputs: bytesLike(plannedSpec.metadataOverrides.map((override) => Buffer.from(override))),
      decode: (input) => void parseMetadataOverride(Buffer.from(input).toString('utf8')),
    },
    {
      name: 'chat template',
      inputs: bytesLike(chatTemplates),
      decode: (input) => {
        const template = new ChatTemplate(Buffer.from(input).toString('utf8'), { bos: '<s>', eos: '</s>' });
        template.render([fromText({ role: 'user', content: 'hello' })], new Date(0));
      },
    },
    ...adminTargets(signature),
    {
      name: 'mDNS answer',
      inputs: bytesLike([mdnsExample()]),
      decode: (input) => {
        let packet: ResponsePacket;
        try {
          packet = decodeDns(Buffer.from(input)) as ResponsePacket;
        } catch {
          // The library's own verdict, which multicast-dns reports as a warning.
          return;
        }
        readAnswer(packet, { tag, sender: '127.0.0.1' });
      },
    },
  ];
}

/** Returns the examples. Throws where the schema refuses one: inputs like it would always be refused at the same place. */
function accepted(schema: z.ZodType, examples: readonly object[]): readonly object[] {
  for (const example of examples) parseHeader(schema, example);
  return examples;
}

/** Decodes an input of {@link headersLike}. Distorted ones lie one level down: MessagePack's encoder takes objects only. */
function unwrapped(input: Uint8Array): unknown {
  const value = decodeValue(input);
  return typeof value === 'object' && value !== null && 'value' in value ? value.value : value;
}

function packedPromptTargets(): FuzzTarget[] {
  const examples: readonly Prompt[] = [
    { type: 'text', text: 'hello \u00e9' },
    { type: 'tokens', tokens: [1, 2, 300] },
    {
      type: 'chat',
      messages: [
        fromText({ role: 'user', content: 'hello', name: 'me' }),
        fromText({ role: 'assistant', content: '' }),
      ],
    },
  ];
  return examples.map(packPrompt).map(({ type, bytes }) => ({
    name: `packed prompt, ${type}`,
    inputs: bytesLike([bytes]),
    decode: (input) => void unpackPrompt({ type, bytes: input }),
  }));
}

/** Lists the decoders of digests of prefixes, which leads send to routers. */
function prefixTargets(): FuzzTarget[] {
  const [added, removed] = [2, 1];
  const payload = packDigests({ added: [1, 2 ** 47], removed: [3] });
  return [
    {
      name: 'digests of prefixes',
      inputs: bytesLike([payload]),
      decode: (input) => void unpackDigests({ added, removed }, input),
    },
  ];
}

/** Lists the routes of the admin contract: requests at the daemon, answers and events at its caller. */
function adminTargets(statement: Uint8Array): FuzzTarget[] {
  const traffic = { total: { sentBytes: 1, receivedBytes: 2 }, peers: {} };
  const status = {
    pid: 42,
    peer,
    url: 'http://127.0.0.1:7331',
    startedAtMs: 1,
    hasIdentityConflict: false,
    traffic,
    cards: [],
  };
  const text = Buffer.from(statement).toString('base64');
  const signed = { bytes: text, signature: text };
  const stage = { peer, block, plannedBytes: 1, state: 'ready', backend: 'cpu', fetchedBytes: 0, fileBytes: 1 };
  const deployment = { id: 'deployment-1', model: sha256, name: 'tiny', state: 'ready', stages: [stage], startedAt: 1 };
  const member = { peer, roles: ['peer'], name: 'attic', labels: { room: 'attic' }, issuedAt: 1, expiresAt: 2 };
  const { deploy, undeploy, invite, revoke, rotate, daemonStatus, members, admitClient, stop } = adminRoutes;
  const values: readonly [string, z.ZodType, object][] = [
    ['deploy request', deploy.request, { model: 'tiny', stages: 2, layers: [4, 4], cacheType: 'q8_0' }],
    ['deploy request with all options', deploy.request, { ...everyOption, threads: 2 }],
    ['undeploy request', undeploy.request, { id: 'deployment-1', now: 'true' }],
    ['invite request', invite.request, { role: 'peer', labels: { room: 'attic' }, uses: 3, approve: true }],
    ['revoke request', revoke.request, { peer }],
    ['rotate request', rotate.request, { graceMs: 60_000 }],
    ['daemon status', daemonStatus.answer, status],
    ['members', members.answer, { mesh: peer, members: [{ ...member, state: 'member' }] }],
    ['client credentials', admitClient.answer, { mesh: peer, certificate: signed, revocations: signed, peers: [] }],
    [
      'deployment event',
      deploy.event,
      { deployment: { ...deployment, contextTokens: 1, sequences: 1, explanation: '' } },
    ],
    ['stop event', stop.event, { pid: 42 }],
  ];
  return values.map(([name, schema, example]) => ({
    name: `admin: ${name}`,
    inputs: headersLike(accepted(schema, [example])),
    decode: (input) => void parseHeader(schema, unwrapped(input)),
  }));
}

/** A request with all options of a deployment. */
const { microBatchRows: _rows, ...everyOption } = plannedSpec;

const chatTemplates = [
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim }}{% endfor %}{{ bos_token }}",
  '{%- macro show(x, n=2) -%}{{ x[:n] ~ x | tojson }}{%- endmacro -%}{% set ns = namespace(i=0) %}{{ show(messages) }}',
  '{% if messages[0].role == "system" and not tools %}{{ raise_exception("no") }}{% else %}{{ 1 // 2 }}{% endif %}',
].map((template) => Buffer.from(template));

const chatExamples = [
  { model: 'tiny', messages: [{ role: 'user', content: 'Hi \n "you" \u00e9\u{1f600}' }], max_tokens: 9, stream: true },
  {
    model: 'tiny',
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
    logit_bias: { 5: -1.5e1 },
    stop: ['.'],
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object', properties: {} } } },
  },
].map((example) => Buffer.from(JSON.stringify(example)));

/** Parses JSON in steps. Throws an error that is no SkeinError when `JSON.parse` gives another result. */
function parseLikeJson(input: Uint8Array): void {
  // Input that is no UTF-8 is refused before it gets here.
  const text = Buffer.from(input).toString('utf8');
  const parser = new JsonParser(Buffer.from(text));
  while (!parser.advance()) continue;
  if (!isDeepStrictEqual(parser.result, JSON.parse(text.replace(/^\uFEFF/, '')))) {
    throw new Error('it was parsed into something else than it is');
  }
}

/** Makes text that a header can have. */
function headerOf(input: Uint8Array): string {
  return Buffer.from(input)
    .toString('latin1')
    .replaceAll(/[^\t\u0020-\u007e\u0080-\u00ff]/g, '');
}

function mdnsExample(): Uint8Array {
  return encodeDns({
    type: 'response',
    answers: [{ name: tag, type: 'PTR', ttl: 120, data: `x.${tag}` }],
    additionals: [{ name: `x.${tag}`, type: 'TXT', ttl: 120, data: `dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/${peer}` }],
  });
}

/** Makes two parts of a model, with a tensor each. */
function partsExample(): readonly [Uint8Array, Uint8Array] {
  const part = (index: number): Uint8Array => {
    const numbers = [
      encodeEntry('split.no', 'uint16', index),
      encodeEntry('split.count', 'uint16', 2),
      encodeEntry('split.tensors.count', 'int32', 2),
    ];
    return ggufOf(numbers, `blk.${index}.weight`);
  };
  return [part(0), part(1)];
}

/** Makes a GGUF that describes a language model. */
function modelExample(): Uint8Array {
  const numbers = { block_count: 2, embedding_length: 8, context_length: 64, 'attention.head_count': 2 };
  const entries = Object.entries(numbers).map(([key, value]) => encodeEntry(`llama.${key}`, 'uint32', value));
  return ggufOf([encodeEntry('general.architecture', 'string', 'llama'), ...entries], 'token_embd.weight');
}

function ggufOf(contents: readonly Uint8Array[], tensor: string): Uint8Array {
  const entries = contents.map((content) => ({ content }));
  const plan = planGguf({ entries, tensors: [{ name: tensor, type: 0, shape: [8, 2] }], alignment: 32 });
  const file = new Uint8Array(plan.bytes);
  for (const { offset, content } of plan.parts) file.set(content, offset);
  return file;
}

/** Lays out the file of which these are the parts, and checks that all its bytes lie in one of them, and in the file. */
async function mergeParts(parts: readonly Uint8Array[]): Promise<void> {
  const heads = await Promise.all(
    parts.map(async (part) => {
      const source = memorySource(part);
      const readRange = async (range: { offset: number; end: number }) =>
        await source.read(range.offset, range.end - range.offset);
      return await readGgufHead({ fileBytes: source.bytes, maxBytes: 4096, readRange });
    }),
  );
  const plan = planMerge(heads);
  let position = plan.head.byteLength;
  for (const { part, offset, bytes, mergedOffset } of plan.ranges) {
    const isInPart = offset + bytes <= (parts[part]?.byteLength ?? 0);
    if (!isInPart || mergedOffset < position) throw new Error('a range lies outside its part, or over another one');
    position = mergedOffset + bytes;
  }
  if (position > plan.bytes) throw new Error('a range lies outside the merged file');
}

/** Makes a GGUF with one text in its metadata and one tensor. */
function ggufExample(): Uint8Array {
  const text = (value: string): Buffer => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(value.length));
    return Buffer.concat([length, Buffer.from(value)]);
  };
  const [u32, u64] = [
    (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer),
    (value: number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer),
  ];
  const head = [Buffer.from('GGUF'), u32(3), u64(1), u64(1), text('general.architecture'), u32(8), text('llama')];
  const tensor = [text('token_embd.weight'), u32(2), u64(32), u64(4), u32(0), u64(0)];
  return Buffer.concat([...head, ...tensor, Buffer.alloc(32), Buffer.alloc(512)]);
}
