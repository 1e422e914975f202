import { SkeinError } from '@skein/protocol';
import { Hono, type Context } from 'hono';

import { eventStream } from '../event-stream/index.ts';
import type { GenerationPort, ServedModel } from '../generation-port.ts';
import { nodeResponse } from '../node-response.ts';
import { readJson } from '../read-json.ts';
import type { AnswerFormat } from './answer-format.ts';
import { streamAnswer, wholeAnswer } from './answer.ts';
import { chatFormat } from './chat-format.ts';
import { completionFormat } from './completion-format.ts';
import { parseChatRequest } from './chat-request.ts';
import { parseCompletionRequest } from './completion-request.ts';
import type { ParsedRequest, ParseOptions } from './parsed-request.ts';

export interface OpenAiComponents {
  readonly generations: GenerationPort;
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
  const { generations, stopped, now, newId, onError } = components;
  const { parse, format } = endpoint;
  const request = context.req.raw;
  const { model, inputs, stream, includeUsage } = parse(await readJson(request), components);
  const left = new AbortController();
  const abort = (reason: SkeinError) => left.abort(reason);
  const signal = AbortSignal.any([request.signal, stopped, left.signal]);
  const identity = { id: `${format.idPrefix}${newId()}`, created: Math.floor(now() / 1000), model };
  const routed = await generations.generate(model, inputs, { signal });
  const answer = { routed, format, identity, signal, abort };
  if (!stream) return Response.json(await wholeAnswer(answer));
  return await eventStream(async (sink) => await streamAnswer(sink, { ...answer, includeUsage }), {
    outgoing: nodeResponse(context),
    cancel: () => abort(new SkeinError('aborted', 'the client went away')),
    onError,
  });
}

/** OpenAI's model object. `created` has no better meaning here than when this coordinator started. */
function modelObject({ id, sha256, bytes, deployed }: ServedModel, created: number): object {
  return { id, object: 'model', created, owned_by: 'skein', skein: { sha256, bytes, deployed } };
}
