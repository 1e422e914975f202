import type { Absent } from '@skein/mesh';
import { silentLogger, SkeinError, type GenerationInput, type Logger, type MeshStatus } from '@skein/protocol';
import { findModel, Transcript, type GenerationUpdate, type Interruptions } from '@skein/serving';
import type { Hono } from 'hono';

import { Admission, type ModelQueueOptions } from '../admission/index.ts';
import { noAudit, Requests, type AuditPort } from '../audit/index.ts';
import { createApp, type AdminHandlers, type Choice, type GenerationPort, type ServedModel } from '../http/index.ts';
import type { Schedule } from '../timers.ts';
import { peerIdOf } from './fixtures.ts';
import { ManualTimers } from './manual-timers.ts';

/** A generation that the test port received. */
export interface ReceivedGeneration {
  readonly model: string;
  readonly inputs: readonly [GenerationInput, ...GenerationInput[]];
  readonly signal: AbortSignal;
}

export const servedModel: ServedModel = {
  id: 'org/tiny',
  model: 'ab'.repeat(32),
  name: 'org/tiny',
  aliases: ['tiny'],
  bytes: 1234,
  isServed: true,
  contextTokens: 4096,
};

const status: MeshStatus = {
  peer: peerIdOf(1),
  addresses: [],
  cards: [],
  deployments: [],
  traffic: { total: { sentBytes: 0, receivedBytes: 0 }, peers: {} },
};

const nobody: Absent = { lost: [], isGathering: false };

/** Peer ids of the holders of the stages of the test port's replica. */
export const servingPeers: readonly string[] = [peerIdOf(1), peerIdOf(2)];

export const generationEnd: Extract<GenerationUpdate, { type: 'generation-end' }> = {
  type: 'generation-end',
  finishReason: 'stop',
  usage: { promptTokens: 7, completionTokens: 2 },
  timings: { firstTokenMs: 12, decodeMs: 34 },
};

/** Yields text pieces, one event each, then the end. */
export async function* sayPieces(...pieces: readonly string[]): AsyncGenerator<GenerationUpdate> {
  for (const text of pieces) yield { type: 'text-delta', text, tokens: [1] };
  yield generationEnd;
}

export interface TestAppOptions {
  /** Makes the events of each generation. Default: `Hel`, `lo` and the end. */
  readonly events?: (signal: AbortSignal, choice: number, input: GenerationInput) => AsyncIterable<GenerationUpdate>;
  /** Error to throw instead of routing. */
  readonly refusal?: Error;
  /** Interruptions that each generation reports beside its events. Default: none. */
  readonly interruptions?: Interruptions;
  readonly deploy?: AdminHandlers<'any'>['deploy'];
  readonly undeploy?: AdminHandlers<'any'>['undeploy'];
  /** Returns milliseconds since 1970. Default: a time that does not change. */
  readonly now?: () => number;
  /** Silent by default. */
  readonly logger?: Logger;
  /** Default: records nothing. */
  readonly audit?: AuditPort;
  /** Default: {@link servedModel} alone. */
  readonly models?: readonly ServedModel[];
  /** Members that are missing. Default: nobody. */
  readonly absent?: Absent;
  /** Sequences that each ready replica generates at once. Default: one replica of 64. */
  readonly sequences?: readonly number[];
  /** Bounds of the queue before it. */
  readonly queue?: ModelQueueOptions;
  /** Clock of the admission. Default: it stands still. */
  readonly nowMs?: () => number;
  /** Default: timers that never go off. */
  readonly schedule?: Schedule;
}

/** Makes the HTTP app over ports that need no mesh. Returns it with the generations that they
 * received, and the admission. */
export function testApp(options: TestAppOptions = {}): {
  app: Hono;
  received: ReceivedGeneration[];
  admission: Admission;
} {
  const {
    events = () => sayPieces('Hel', '', 'lo'),
    refusal,
    interruptions,
    deploy,
    undeploy,
    audit = noAudit,
    models = [servedModel],
    absent = nobody,
    logger = silentLogger,
  } = options;
  const { now = () => 1_700_000_000_000 } = options;
  const received: ReceivedGeneration[] = [];
  const generations: GenerationPort = {
    models: () => models,
    find: (reference) => findModel({ models, absent }, reference),
    generate(model, inputs, { signal, admitted = Promise.resolve(), onAsk }) {
      if (refusal !== undefined) return inputs.map(() => choiceOf(failing(refusal)));
      void admitted.then(
        () => {
          onAsk?.({ deployment: 'deployment-1', peers: servingPeers });
          received.push({ model, inputs, signal });
        },
        () => undefined,
      );
      return inputs.map((input, choice) => ({
        ...choiceOf(onceAdmitted(admitted, events(signal, choice, input)), input),
        interruptions,
      }));
    },
  };
  const timers = options.schedule ?? new ManualTimers().schedule;
  const { sequences = [64], nowMs = () => 0 } = options;
  const replicas = { sequencesOf: () => sequences, prepare: notUsed };
  const admission = new Admission({ replicas, schedule: timers, nowMs }, options.queue);
  const app = createApp({
    generations,
    admission,
    requests: new Requests({ audit, now }),
    administration: {
      status: () => status,
      deploy: deploy ?? notUsed,
      undeploy: undeploy ?? notUsed,
      plan: notUsed,
      drain: notUsed,
      undrain: notUsed,
    },
    stopped: new AbortController().signal,
    logger,
    now,
    newId: () => 'id1',
    randomSeed: () => 42,
    schedule: timers,
  });
  return { app, received, admission };
}

/** Makes a choice that one lead answers with these events. */
function choiceOf(events: AsyncIterable<GenerationUpdate>, input?: GenerationInput): Choice {
  const transcript = new Transcript(input?.maxTokens, input?.resume);
  return {
    route: { deployment: 'deployment-1', lead: 'lead-peer' },
    transcript,
    async *[Symbol.asyncIterator]() {
      for await (const update of events) {
        transcript.add(update);
        yield update;
      }
    },
  };
}

async function* onceAdmitted(
  admitted: Promise<void>,
  events: AsyncIterable<GenerationUpdate>,
): AsyncGenerator<GenerationUpdate> {
  await admitted;
  yield* events;
}

async function* failing(refusal: Error): AsyncGenerator<GenerationUpdate> {
  yield await Promise.reject<GenerationUpdate>(refusal);
}

async function notUsed(): Promise<never> {
  throw new SkeinError('not-found', 'nothing is deployed in this test');
}

/** Sends a POST with a JSON body; a string goes as it is. */
export async function post(app: Hono, path: string, body: unknown, headers: Record<string, string> = {}) {
  return await app.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** Returns the data of all server-sent events in a body; `[DONE]` stays a string. */
export async function sentEvents(response: Response): Promise<unknown[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => event.replace(/^(id: .*\n)?data: /, ''))
    .map((data): unknown => (data === '[DONE]' ? data : JSON.parse(data)));
}
