import { SkeinError } from '@skein/protocol';
import { Hono, type Context } from 'hono';

import type { RequestRecord, Requests } from '../../audit/index.ts';
import { eventStream } from '../event-stream/index.ts';
import type { GenerationPort, ServedModel } from '../generation-port.ts';
import { nodeResponse, remoteAddress } from '../node-response.ts';
import { readJson } from '../read-json.ts';
import type { AnswerFormat } from './answer-format.ts';
import { streamAnswer, wholeAnswer } from './answer.ts';
import { chatFormat } from './chat-format.ts';
import { completionFormat } from './completion-format.ts';
import { parseChatRequest } from './chat-request.ts';
import { parseCompletionRequest } from './completion-request.ts';
import { promptSize } from './prompt-size.ts';
import type { ParsedRequest, ParseOptions } from './parsed-request.ts';

export interface OpenAiComponents {
  readonly generations: GenerationPort;
  readonly requests: Requests;
  /** Aborted when the server stops. */
  readonly stopped: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Unique text of letters, digits and dashes. */
  readonly newId: () => string;
  /** An unsigned 32 bit integer. */
  readonly randomSeed: () => number;
  /** Told about errors that clients get after the first byte. */
  readonly onError: (error: unknown) => void;
}

/** OpenAI's endpoints, under `/v1`. */
export function openAiRoutes(components: OpenAiComponents): Hono {
  const { generations } = components;
  const startedSeconds = Math.floor(components.now() / 1000);
  const routes = new Hono();
  routes.get('/models', () =>
    Response.json({ object: 'list', data: generations.models().map((model) => modelObject(model, startedSeconds)) }),
  );
  // Model names may hold slashes, which clients encode or not.
  routes.get('/models/:id{.+}', (context) => {
    const id = context.req.param('id');
    const model = generations.models().find((model) => model.id === id || model.sha256 === id);
    if (model !== undefined) return Response.json(modelObject(model, startedSeconds));
    throw new SkeinError('model-not-found', `no peer holds ${id}; GET /v1/models lists what there is`, {
      details: { param: 'model' },
    });
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
  readonly parse: (body: unknown, options: ParseOptions) => ParsedRequest;
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
  const { generations, stopped, now, onError } = components;
  const request = context.req.raw;
  const { model, inputs, stream, includeUsage } = parse(await readJson(request), components);
  const served = generations.models().find((one) => one.id === model || one.sha256 === model);
  record.onRead({
    ...(served !== undefined && { model: served.id, sha256: served.sha256 }),
    choices: inputs.length,
    promptSize: promptSize(inputs[0].prompt),
  });
  const left = new AbortController();
  const abort = (reason: SkeinError) => left.abort(reason);
  const cancel = () => abort(clientLeft());
  request.signal.addEventListener('abort', cancel, { once: true });
  if (request.signal.aborted) cancel();
  const signal = AbortSignal.any([stopped, left.signal]);
  const identity = { id, created: Math.floor(now() / 1000), model };
  const routed = await generations.generate(model, inputs, { signal, onAsk: (replica) => record.onAsk(replica) });
  const options = { routed, format, identity, signal, abort, observer: record };
  if (!stream) return Response.json(await record.follow(wholeAnswer(options)));
  return await eventStream(async (sink) => await record.follow(streamAnswer(sink, { ...options, includeUsage })), {
    outgoing: nodeResponse(context),
    cancel,
    onError,
  });
}

/** Node's server has a reason of its own for that, which would pass for a fault of ours. */
function clientLeft(): SkeinError {
  return new SkeinError('aborted', 'the client went away');
}

/** OpenAI's model object. `created` has no better meaning here than when this coordinator started. */
function modelObject({ id, sha256, bytes, deployed }: ServedModel, created: number): object {
  return { id, object: 'model', created, owned_by: 'skein', skein: { sha256, bytes, deployed } };
}
