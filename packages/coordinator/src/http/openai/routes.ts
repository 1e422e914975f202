import { onAbort, type SkeinError } from '@skein/protocol';
import { Hono, type Context } from 'hono';

import type { RequestRecord, Requests } from '../../audit/index.ts';
import type { Schedule } from '../../timers.ts';
import type { RequestBodies } from '../body/index.ts';
import { clientLeft } from '../client-left.ts';
import { eventStream, type EventSink } from '../event-stream/index.ts';
import type { GenerationPort, ServedModel } from '../generation-port.ts';
import type { Turns } from '../turns.ts';
import { bodyChunks, nodeResponse, remoteAddress, showRequestId } from '../node-exchange.ts';
import type { AnswerFormat } from './answer-format.ts';
import { streamAnswer, wholeAnswer } from './answer.ts';
import { chatFormat, parseChatRequest } from './chat.ts';
import { completionFormat, parseCompletionRequest } from './completions.ts';
import { assertFitsContext, type ParsedRequest, type ParseOptions } from './request.ts';

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
export function openAiRoutes(components: OpenAiComponents): Hono {
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

interface Endpoint {
  readonly parse: (body: unknown, options: ParseOptions) => Promise<ParsedRequest>;
  readonly format: AnswerFormat;
}

async function complete(context: Context, components: OpenAiComponents, endpoint: Endpoint): Promise<Response> {
  const id = `${endpoint.format.idPrefix}${components.newId()}`;
  const address = remoteAddress(context);
  const origin = {
    id,
    client: 'local',
    endpoint: context.req.path,
    ...(address !== undefined && { address }),
  } as const;
  showRequestId(context, id);
  const record = await components.requests.begin(origin);
  try {
    return await answer(context, components, { ...endpoint, id, record });
  } catch (error) {
    record.onFailure(context.req.raw.signal.aborted ? clientLeft() : error);
    throw error;
  }
}

async function answer(
  context: Context,
  components: OpenAiComponents,
  { parse, format, id, record }: Endpoint & { readonly id: string; readonly record: RequestRecord },
): Promise<Response> {
  const { generations, bodies, stopped, now, onError, schedule } = components;
  const request = context.req.raw;
  using body = await bodies.readJson(request, bodyChunks(context));
  const { model, inputs, promptSize, stream, includeUsage } = await parse(body.value, components);
  const size = { choices: inputs.length, promptSize };
  record.onRead(size);
  // The only place where the name counts: from here on the model is its hash.
  const served = generations.find(model);
  record.onRead({ ...size, model: served.name, sha256: served.model });
  if (inputs[0].prompt.type === 'tokens') assertFitsContext(promptSize, served.contextTokens);
  const left = new AbortController();
  const abort = (reason: SkeinError) => left.abort(reason);
  const cancel = () => abort(clientLeft());
  const signal = AbortSignal.any([stopped, left.signal]);
  const identity = { id, created: Math.floor(now() / 1000), model };
  const choices = generations.generate(served.model, inputs, { id, signal, onAsk: (replica) => record.onAsk(replica) });
  const options = { choices, format, identity, signal, observer: record };
  if (!stream) {
    using _left = onAbort(request.signal, cancel);
    return Response.json(await record.follow(wholeAnswer({ ...options, abort })));
  }
  const send = async (sink: EventSink) => {
    // The request goes on after its response was returned.
    using _left = onAbort(request.signal, cancel);
    await record.follow(streamAnswer(sink, { ...options, includeUsage, schedule }));
  };
  return await eventStream(send, {
    outgoing: nodeResponse(context),
    cancel,
    onError: (error) => onError(error, id),
    schedule,
  });
}

/** Makes OpenAI's model object. `created` is the start of this coordinator, for want of a better meaning. */
function modelObject({ id, model, name, bytes, isServed }: ServedModel, created: number): object {
  const skein = { sha256: model, name, bytes, deployed: isServed };
  return { id, object: 'model', created, owned_by: 'skein', skein };
}
