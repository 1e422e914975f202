import { onAbort, SkeinError, type GenerationInput } from '@skein/protocol';
import { Hono, type Context } from 'hono';

import type { Admission, AdmissionRequest, Permit } from '../../admission/index.ts';
import type { AnswerObserver, AskedReplica, RequestRecord, Requests, RequestSummary } from '../../audit/index.ts';
import { localPrincipal, principalName } from '../../principals/principal.ts';
import type { Schedule } from '../../timers.ts';
import { parseAdmissionHeaders, showOutlook, tellOutlook, type AdmissionHeaders } from '../admission-headers.ts';
import type { RequestBodies } from '../body/index.ts';
import { clientLeft } from '../client-left.ts';
import { eventStream, type EventSink } from '../event-stream/index.ts';
import type { GenerationPort, ServedModel } from '../generation-port.ts';
import { Receipt } from '../receipt.ts';
import { parseRoutingHeaders, type RoutingHeaders } from '../routing-headers.ts';
import type { Turns } from '../turns.ts';
import { bodyChunks, nodeResponse, remoteAddress, showRequestId } from '../node-exchange.ts';
import {
  cameOutOtherwise,
  eventId,
  KeptStreams,
  lastEventOf,
  noSuchStream,
  parseMark,
  type EventPlace,
  type KeptStream,
} from '../resumption/index.ts';
import type { AnswerFormat } from './answer-format.ts';
import { wholeAnswer } from './answer.ts';
import { chatFormat, parseChatRequest } from './chat.ts';
import { completionFormat, parseCompletionRequest } from './completions.ts';
import { assertFitsContext, type ParsedRequest, type ParseOptions } from './request.ts';
import { StreamedAnswer, type AnswerConnection } from './streamed-answer.ts';

export interface OpenAiComponents {
  readonly generations: GenerationPort;
  readonly admission: Admission;
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
  readonly claim: AdmissionRequest;
  readonly routing: RoutingHeaders;
  readonly receipt: Receipt;
  readonly summary: RequestSummary & { readonly sha256: string };
}

interface Endpoint {
  readonly parse: (body: unknown, options: ParseOptions) => Promise<ParsedRequest>;
  readonly format: AnswerFormat;
}

/** Header of clients that can have their answer continued at any coordinator, which need to know more of it for that. */
const stateHeader = 'x-skein-state';

/** Name of the caller in records, who alone can continue its streams: this version answers to this machine alone. */
const principal = principalName(localPrincipal);

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
    if (kept !== undefined && lastEvent !== undefined) {
      return await continueStream(context, components, { kept, record, lastEvent });
    }
    const told = lastEvent && toldElsewhere(lastEvent, endpoint, components);
    return await answer(context, components, { ...endpoint, id, record, told });
  } catch (error) {
    record.onFailure(context.req.raw.signal.aborted ? clientLeft() : error);
    throw error;
  }
}

/** A stream that another coordinator carried, as the last event of its client tells. */
interface ToldElsewhere {
  readonly lastEvent: EventPlace;
  readonly seed: number;
  readonly askedAt: number;
}

/**
 * Returns what the id of an event tells of a stream that is not ours, so that it can be told anew.
 *
 * @throws SkeinError `not-found` when that is not enough
 */
function toldElsewhere(lastEvent: EventPlace, { format }: Endpoint, { streams }: Components): ToldElsewhere {
  const { stream, mark } = lastEvent;
  const start = mark === undefined ? undefined : parseMark(mark);
  if (start === undefined || !stream.startsWith(format.idPrefix) || streams.has(stream)) throw noSuchStream();
  return { lastEvent, ...start };
}

/** Makes the inputs of an answer that is told anew: with the seed and the time that it had. */
function inputsAnew(inputs: readonly GenerationInput[], { seed, askedAt }: ToldElsewhere): readonly GenerationInput[] {
  return inputs.map((input) => ({ ...input, askedAt, sampling: { ...input.sampling, seed } }));
}

async function answer(
  context: Context,
  components: Components,
  {
    parse,
    format,
    id,
    record,
    told,
  }: Endpoint & {
    readonly id: string;
    readonly record: RequestRecord;
    /** The stream that the client wants to have continued. Default: it wants an answer. */
    readonly told?: ToldElsewhere | undefined;
  },
): Promise<Response> {
  const { generations, admission, bodies, stopped, streams, now, schedule } = components;
  const request = context.req.raw;
  const asked = parseAdmissionHeaders(request.headers);
  const routing = parseRoutingHeaders(request.headers);
  const receipt = new Receipt();
  using stack = new DisposableStack();
  const body = stack.use(await bodies.readJson(request, bodyChunks(context)));
  const parsed = await parse(body.value, components);
  const { model, inputs, promptSize, stream, includeUsage } = parsed;
  const size = { choices: inputs.length, promptSize };
  record.onRead(size);
  // The only place where the name counts: from here on the model is its hash.
  const served = generations.find(model);
  const { labels } = routing;
  const summary = { ...size, model: served.name, sha256: served.model, ...(labels !== undefined && { labels }) };
  record.onRead(summary);
  if (inputs[0].prompt.type === 'tokens') assertFitsContext(promptSize, served.contextTokens);
  const askedAt = told?.askedAt ?? now();
  const identity = { id: told?.lastEvent.stream ?? id, created: Math.floor(askedAt / 1000), model };
  const claim = {
    principal,
    priority: asked.priority ?? parsed.priority,
    sequences: inputs.length,
    promptTokens: parsed.promptTokens,
    maxTokens: inputs[0].maxTokens,
  };
  if (stream) {
    const includeState = request.headers.has(stateHeader);
    // Chat templates may tell the time, which has to stay the same wherever the answer goes on.
    const timed = told === undefined ? inputs.map((input) => ({ askedAt, ...input })) : inputsAnew(inputs, told);
    const answer = new StreamedAnswer({ inputs: timed, format, identity, includeUsage, includeState });
    const requestCharacters = inputs[0].prompt.bytes.byteLength;
    const kept = streams.keep(identity.id, {
      principal,
      answer: { answer, claim, routing, receipt, summary },
      requestCharacters,
    });
    const connection = { kept, record, asked, claim, body: stack.move() };
    return await carry(context, components, { ...connection, lastEvent: told?.lastEvent });
  }
  if (told !== undefined) throw noSuchStream();
  const left = new AbortController();
  const abort = (reason: SkeinError) => left.abort(reason);
  using _left = onAbort(request.signal, () => abort(clientLeft()));
  const signal = AbortSignal.any([stopped, left.signal]);
  const { deadlineMs } = asked;
  using _deadline = deadlineMs === undefined ? undefined : schedule(deadlineMs, () => abort(tooLate(deadlineMs)));
  using permit = admission.enter(served.model, { ...claim, deadlineMs }, signal);
  showOutlook(context, permit.outlook);
  const choices = generations.generate(served.model, inputs, {
    id,
    signal,
    routing,
    admitted: permit.admitted,
    onAsk: (replica) => ask(replica, { record, receipt }),
  });
  const options = { choices: receipt.of(choices), format, identity, signal, observer: observerOf(record, permit) };
  return Response.json(await record.follow(wholeAnswer({ ...options, abort })));
}

/** Continues a stream behind the last event that its client has. The body is that of the first request, and unused. */
async function continueStream(
  context: Context,
  components: Components,
  options: {
    readonly kept: KeptStream<AskedAnswer>;
    readonly record: RequestRecord;
    readonly lastEvent: EventPlace;
  },
): Promise<Response> {
  const { kept, record, lastEvent } = options;
  const asked = parseAdmissionHeaders(context.req.raw.headers);
  using stack = new DisposableStack();
  stack.use(await components.bodies.readJson(context.req.raw, bodyChunks(context)));
  const { claim, summary } = kept.answer;
  record.onRead(summary);
  const continued = { ...claim, priority: 'continued' } as const;
  return await carry(context, components, { kept, record, lastEvent, asked, claim: continued, body: stack.move() });
}

/** Has a connection carry a stream, from its beginning or behind the last event that the client has. */
async function carry(
  context: Context,
  { generations, admission, stopped, schedule, onError }: Components,
  options: {
    readonly kept: KeptStream<AskedAnswer>;
    readonly record: RequestRecord;
    readonly lastEvent?: EventPlace | undefined;
    readonly asked: AdmissionHeaders;
    readonly claim: AdmissionRequest;
    /** The request's body, which others may wait for the room of. */
    readonly body: Disposable;
  },
): Promise<Response> {
  const { kept, record, lastEvent, asked, claim } = options;
  using stack = new DisposableStack();
  const body = stack.use(options.body);
  const { answer, summary, routing, receipt } = kept.answer;
  const taken = new AbortController();
  const onOver = await kept.take({ cut: () => taken.abort() });
  if (lastEvent !== undefined && kept.isOther(lastEvent)) {
    onOver();
    throw cameOutOtherwise();
  }
  const anew = lastEvent && startAnew(kept, lastEvent);
  const missed = anew === undefined && lastEvent !== undefined ? kept.after(lastEvent.number) : anew && '';
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
  const late = new AbortController();
  const signal = AbortSignal.any([stopped, left.signal, late.signal]);
  const enter = (): Permit => {
    const { deadlineMs } = asked;
    const permit = stack.use(admission.enter(summary.sha256, { ...claim, deadlineMs }, signal));
    showOutlook(context, permit.outlook);
    if (deadlineMs !== undefined) stack.use(schedule(deadlineMs, () => late.abort(tooLate(deadlineMs))));
    // Once it is admitted, nothing of the request is needed here.
    const free = () => body[Symbol.dispose]();
    permit.admitted.then(free, free);
    return permit;
  };
  let permit: Permit | undefined;
  try {
    permit = answer.isOver ? undefined : enter();
  } catch (error) {
    onOver();
    throw error;
  }
  const held = stack.move();
  const send = async (sink: EventSink) => {
    using _held = held;
    if (permit === undefined) return await record.follow(Promise.resolve());
    using _told = asked.wantsQueueEvents ? tellOutlook(sink, permit, schedule) : undefined;
    const { admitted } = permit;
    const generate: AnswerConnection['generate'] = (inputs) =>
      receipt.of(
        generations.generate(summary.sha256, inputs, {
          id: kept.id,
          signal,
          routing,
          admitted,
          onAsk: (replica) => ask(replica, { record, receipt }),
        }),
      );
    const connection = { generate, signal, gone: left.signal, observer: observerOf(record, permit), schedule };
    const answered = answer.send(stallingSink(sink, permit), connection).then(() => anew?.end());
    // Where that fails, the error is the next thing that the client has to know.
    void answered.catch(() => anew?.stop());
    await record.follow(answered);
  };
  return await eventStream(send, {
    outgoing: nodeResponse(context),
    cancel: () => left.abort(clientLeft()),
    onError: (error) => onError(error, kept.id),
    schedule,
    stream: {
      append: (event) => (anew ?? kept).append(event, answer.mark),
      missed,
      gone: AbortSignal.any([context.req.raw.signal, taken.signal]),
      onOver,
    },
  });
}

/**
 * Returns the way in which a stream appends events that its client has from another coordinator, up to the last one: it
 * sends none of them, and sees that they are the same. Undefined for a stream that has got further.
 */
function startAnew(kept: KeptStream<AskedAnswer>, lastEvent: EventPlace) {
  if (lastEvent.mark === undefined || kept.answer.answer.isOver || kept.last >= lastEvent.number) return undefined;
  const id = `id: ${eventId(lastEvent)}\n`;
  let isOver = false;
  return {
    append(event: string, mark: string | undefined): string {
      const text = kept.append(event, mark);
      if (isOver || kept.last > lastEvent.number) return text;
      if (kept.last === lastEvent.number && !text.startsWith(id)) throw cameOutOtherwise();
      return '';
    },
    /** Sees that the answer did not end before the event. */
    end(): void {
      if (kept.last < lastEvent.number) throw cameOutOtherwise();
    },
    /** Has all later events sent. */
    stop(): void {
      isOver = true;
    },
  };
}

/** Notes that a request goes to a replica, in its record and in its receipt. */
function ask(
  replica: AskedReplica,
  { record, receipt }: { readonly record: RequestRecord; readonly receipt: Receipt },
): void {
  record.onAsk(replica);
  receipt.onAsk(replica);
}

/** Returns an observer that records an answer's progress, and counts its tokens for fairness. */
function observerOf(record: RequestRecord, permit: Permit): AnswerObserver {
  return {
    onTokens(choice, count) {
      record.onTokens(choice, count);
      permit.onTokens(count);
    },
    onEnd(choice, end) {
      record.onEnd(choice, end);
      const { promptTokens, cachedTokens = 0 } = end.usage;
      permit.onPromptRead(promptTokens - cachedTokens);
    },
  };
}

/** Returns a sink that gives the request's place to others while its client does not keep up. */
function stallingSink(sink: EventSink, permit: Permit): EventSink {
  return {
    open: () => sink.open(),
    send: (data) => sink.send(data),
    write: (event) => sink.write(event),
    comment: (text) => sink.comment(text),
    get behind() {
      const { behind } = sink;
      if (behind !== undefined) permit.stall(behind);
      return behind;
    },
  };
}

function tooLate(deadlineMs: number): SkeinError {
  const message = `the answer was not complete within ${deadlineMs} ms, the deadline of its request; allow more time`;
  return new SkeinError('deadline-exceeded', message);
}

/** Makes OpenAI's model object. `created` is the start of this coordinator, for want of a better meaning. */
function modelObject({ id, model, name, bytes, isServed }: ServedModel, created: number): object {
  const skein = { sha256: model, name, bytes, deployed: isServed };
  return { id, object: 'model', created, owned_by: 'skein', skein };
}
