import { SkeinError } from '@skein/protocol';
import { Hono } from 'hono';

import { eventStream } from '../event-stream.ts';
import type { GenerationPort, ServedModel } from '../generation-port.ts';
import { readJson } from '../read-json.ts';
import type { AnswerFormat } from './answer-format.ts';
import { answerChunks, wholeAnswer } from './answer.ts';
import { chatFormat } from './chat-format.ts';
import { completionFormat } from './completion-format.ts';
import { parseChatRequest } from './chat-request.ts';
import { parseCompletionRequest } from './completion-request.ts';
import { generationText } from './generation-text.ts';
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
    complete(context.req.raw, components, { parse: parseChatRequest, format: chatFormat }),
  );
  routes.post('/completions', (context) =>
    complete(context.req.raw, components, { parse: parseCompletionRequest, format: completionFormat }),
  );
  return routes;
}

interface Endpoint {
  readonly parse: (body: unknown, options: ParseOptions) => ParsedRequest;
  readonly format: AnswerFormat;
}

async function complete(request: Request, components: OpenAiComponents, endpoint: Endpoint): Promise<Response> {
  const { generations, stopped, now, newId, onError } = components;
  const { parse, format } = endpoint;
  const { model, input, stream, includeUsage } = parse(await readJson(request), components);
  const left = new AbortController();
  const signal = AbortSignal.any([request.signal, stopped, left.signal]);
  const identity = { id: `${format.idPrefix}${newId()}`, created: Math.floor(now() / 1000), model };
  const text = generationText(await generations.generate(model, input, { signal }), { signal });
  if (!stream) return Response.json(await wholeAnswer(text, format, identity));
  const chunks = answerChunks({ text, format, identity, includeUsage, onError });
  return await eventStream(chunks, { cancel: () => left.abort(new SkeinError('aborted', 'the client went away')) });
}

/** OpenAI's model object. `created` has no better meaning here than when this coordinator started. */
function modelObject({ id, sha256, bytes, deployed }: ServedModel, created: number): object {
  return { id, object: 'model', created, owned_by: 'skein', skein: { sha256, bytes, deployed } };
}
