import { onAbort, type SkeinError } from '@skein/protocol';
import { Hono, type Context } from 'hono';

import type { RequestRecord, Requests, RequestSummary } from '../../audit/index.ts';
import type { Schedule } from '../../timers.ts';
import type { RequestBodies } from '../body/index.ts';
import { clientLeft } from '../client-left.ts';
import { eventStream, type EventSink } from '../event-stream/index.ts';
import type { GenerationPort, ServedModel } from '../generation-port.ts';
import type { Turns } from '../turns.ts';
import { bodyChunks, nodeResponse, remoteAddress, showRequestId } from '../node-exchange.ts';
import { KeptStreams, lastEventOf, noSuchStream, type EventPlace, type KeptStream } from '../resumption/index.ts';
import type { AnswerFormat } from './answer-format.ts';
import { wholeAnswer } from './answer.ts';
import { chatFormat, parseChatRequest } from './chat.ts';
import { completionFormat, parseCompletionRequest } from './completions.ts';
import { assertFitsContext, type ParsedRequest, type ParseOptions } from './request.ts';
import { StreamedAnswer, type AnswerConnection } from './streamed-answer.ts';

export interface OpenAiComponents {
  readonly generations: GenerationPort;
  readonly requests: Requests;
  readonly bodies: RequestBodies;
  readonly turns: Turns;
  /** Aborts when the server stops. */
  readonly stopped: AbortSignal;
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
  /** Returns a unique text of letters, digits and dashes. */
  readonly newId: () => string;
  /** Returns an unsigned 32 bit integer. */
  readonly randomSeed: () => number;
  readonly schedule: Schedule;
  /** Called with each error that a client gets, and the id of its request. */
  readonly onError: (error: unknown, request: string) => void;
}

/** Makes OpenAI's endpoints, under `/v1`. */
export function openAiRoutes(shared: OpenAiComponents): Hono {
  const components = { ...shared, streams: new KeptStreams<AskedAnswer>(shared) };
  const { generations } = components;
  const startedSeconds = Math.floor(components.now() / 1000);
  const routes = new Hono();
  routes.get('/models', () =>
    Response.json({ object: 'list', data: generations.models().map((model) => modelObject(model, startedSeconds)) }),
  );
  // Model names may hold slashes, which clients encode or not.
  routes.get('/models/:id{.+}', (context) => {
    const model = generations.find(context.req.param('id'));
    return Response.json(modelObject(model, startedSeconds));
  });
  routes.post('/chat/completions', (context) =>
    complete(context, components, { parse: parseChatRequest, format: chatFormat }),
  );
  routes.post('/completions', (context) =>
    complete(context, components, { parse: parseCompletionRequest, format: completionFormat }),
  );
  return routes;
}

type Components = OpenAiComponents & { readonly streams: KeptStreams<AskedAnswer> };

/** An answer that is streamed, with the SHA-256 of its model. */
interface AskedAnswer {
  readonly answer: StreamedAnswer;
  readonly summary: RequestSummary & { readonly sha256: string };
}

interface Endpoint {
  readonly parse: (body: unknown, options: ParseOptions) => Promise<ParsedRequest>;
  readonly format: AnswerFormat;
}

/** Name of the caller in records, who alone can continue its streams: this version answers to this machine alone. */
const principal = 'local';

async function complete(context: Context, components: Components, endpoint: Endpoint): Promise<Response> {
  const lastEvent = lastEventOf(context);
  const kept = lastEvent === undefined ? undefined : components.streams.find(lastEvent.stream, principal);
  const id = kept?.id ?? `${endpoint.format.idPrefix}${components.newId()}`;
  const address = remoteAddress(context);
  const origin = {
    id,
    client: principal,
    endpoint: context.req.path,
    ...(address !== undefined && { address }),
  } as const;
  showRequestId(context, id);
  const record = await components.requests.begin(origin);
  try {
    if (lastEvent === undefined) return await answer(context, components, { ...endpoint, id, record });
    return await continueStream(context, components, { kept, record, lastEvent });
  } catch (error) {
    record.onFailure(context.req.raw.signal.aborted ? clientLeft() : error);
    throw error;
  }
}

async function answer(
  context: Context,
  components: Components,
  { parse, format, id, record }: Endpoint & { readonly id: string; readonly record: RequestRecord },
): Promise<Response> {
  const { generations, bodies, stopped, streams, now } = components;
  const request = context.req.raw;
  using body = await bodies.readJson(request, bodyChunks(context));
  const { model, inputs, promptSize, stream, includeUsage } = await parse(body.value, components);
  const size = { choices: inputs.length, promptSize };
  record.onRead(size);
  // The only place where the name counts: from here on the model is its hash.
  const served = generations.find(model);
  const summary = { ...size, model: served.name, sha256: served.model };
  record.onRead(summary);
  if (inputs[0].prompt.type === 'tokens') assertFitsContext(promptSize, served.contextTokens);
  const identity = { id, created: Math.floor(now() / 1000), model };
  if (stream) {
    // Chat templates may tell the time, which has to stay the same wherever the answer goes on.
    const timed = inputs.map((input) => ({ ...input, askedAt: now() }));
    const answer = new StreamedAnswer({ inputs: timed, format, identity, includeUsage });
    const requestCharacters = inputs[0].prompt.bytes.byteLength;
    const kept = streams.keep(id, { principal, answer: { answer, summary }, requestCharacters });
    return await carry(context, components, { kept, record });
  }
  const left = new AbortController();
  const abort = (reason: SkeinError) => left.abort(reason);
  using _left = onAbort(request.signal, () => abort(clientLeft()));
  const signal = AbortSignal.any([stopped, left.signal]);
  const choices = generations.generate(served.model, inputs, { id, signal, onAsk: (replica) => record.onAsk(replica) });
  const options = { choices, format, identity, signal, observer: record };
  return Response.json(await record.follow(wholeAnswer({ ...options, abort })));
}

/** Continues a stream behind the last event that its client has. The body is that of the first request, and unused. */
async function continueStream(
  context: Context,
  components: Components,
  options: {
    readonly kept: KeptStream<AskedAnswer> | undefined;
    readonly record: RequestRecord;
    readonly lastEvent: EventPlace;
  },
): Promise<Response> {
  const { kept, record, lastEvent } = options;
  if (kept === undefined) throw noSuchStream();
  using _body = await components.bodies.readJson(context.req.raw, bodyChunks(context));
  record.onRead(kept.answer.summary);
  return await carry(context, components, { kept, record, lastEvent });
}

/** Has a connection carry a stream, from its beginning or behind the last event that the client has. */
async function carry(
  context: Context,
  { generations, stopped, schedule, onError }: Components,
  options: {
    readonly kept: KeptStream<AskedAnswer>;
    readonly record: RequestRecord;
    readonly lastEvent?: EventPlace | undefined;
  },
): Promise<Response> {
  const { kept, record, lastEvent } = options;
  const { answer, summary } = kept.answer;
  const taken = new AbortController();
  const onOver = await kept.take({ cut: () => taken.abort() });
  const missed = lastEvent === undefined ? undefined : kept.after(lastEvent.number);
  if (lastEvent !== undefined && missed === undefined) {
    onOver();
    throw noSuchStream();
  }
  if (answer.isOver && missed === '') {
    onOver();
    // Clients that would ask again and again take this for the end.
    return await record.follow(Promise.resolve(new Response(null, { status: 204 })));
  }
  const left = new AbortController();
  const signal = AbortSignal.any([stopped, left.signal]);
  const generate: AnswerConnection['generate'] = (inputs) =>
    generations.generate(summary.sha256, inputs, { id: kept.id, signal, onAsk: (replica) => record.onAsk(replica) });
  const send = async (sink: EventSink) => {
    const connection = { generate, signal, gone: left.signal, observer: record, schedule };
    await record.follow(answer.isOver ? Promise.resolve() : answer.send(sink, connection));
  };
  return await eventStream(send, {
    outgoing: nodeResponse(context),
    cancel: () => left.abort(clientLeft()),
    onError: (error) => onError(error, kept.id),
    schedule,
    stream: {
      append: (event) => kept.append(event),
      missed,
      gone: AbortSignal.any([context.req.raw.signal, taken.signal]),
      onOver,
    },
  });
}

/** Makes OpenAI's model object. `created` is the start of this coordinator, for want of a better meaning. */
function modelObject({ id, model, name, bytes, isServed }: ServedModel, created: number): object {
  const skein = { sha256: model, name, bytes, deployed: isServed };
  return { id, object: 'model', created, owned_by: 'skein', skein };
}
