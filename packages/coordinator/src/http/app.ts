import { asSkeinError, type Logger } from '@skein/protocol';
import { Hono } from 'hono';

import type { Schedule } from '../timers.ts';
import { RequestBodies } from './body/index.ts';
import { errorResponse } from './error-response.ts';
import type { Requests } from '../audit/index.ts';
import type { GenerationPort } from './generation-port.ts';
import { browserGuard } from './guard.ts';
import { requestIdOf } from './node-exchange.ts';
import { openAiRoutes } from './openai/routes.ts';
import { skeinRoutes } from './skein/routes.ts';
import { Turns } from './turns.ts';
import type { AdministrationPort } from './skein/administration-port.ts';

export interface AppComponents {
  readonly generations: GenerationPort;
  readonly administration: AdministrationPort;
  /** Where requests are recorded. */
  readonly requests: Requests;
  /** Aborted when the server stops: ends what is running. */
  readonly stopped: AbortSignal;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Unique text of letters, digits and dashes. */
  readonly newId: () => string;
  readonly schedule: Schedule;
  /** An unsigned 32 bit integer, for requests without a seed. */
  readonly randomSeed: () => number;
}

/** The HTTP API: OpenAI's endpoints under `/v1`, Skein's own under `/skein/v1`, and `/health`. */
export function createApp(components: AppComponents): Hono {
  const { logger } = components;
  const onError = (error: unknown, request?: string) => logError(logger, error, request);
  const turns = new Turns();
  const shared = { ...components, bodies: new RequestBodies({ turns }), turns, onError };
  const app = new Hono();
  app.use(browserGuard());
  app.get('/health', () => Response.json({ status: 'ok' }));
  app.route('/v1', openAiRoutes(shared));
  app.route('/skein/v1', skeinRoutes(shared));
  app.notFound(({ req: { method, path } }) => {
    const allowed = allowedMethods(app, path);
    return allowed.length === 0 ? unknownUrl(method, path) : wrongMethod({ method, path, allowed });
  });
  app.onError((error, context) => {
    onError(error, requestIdOf(context));
    return errorResponse(error);
  });
  return app;
}

/** A path that is not there is about the URL, not about a request's content: no code of ours fits. */
function unknownUrl(method: string, path: string): Response {
  const message = `Unknown request URL: ${method} ${path.slice(0, 200)}. See /v1/models and /v1/chat/completions`;
  const error = { message, type: 'invalid_request_error', param: null, code: 'unknown_url' };
  return Response.json({ error }, { status: 404 });
}

/** The methods that a path is there for. */
function allowedMethods(app: Hono, path: string): readonly string[] {
  // What middleware is registered for is every method there is.
  const isRouted = (method: string) => app.router.match(method, path)[0].some(([[, route]]) => route.method === method);
  return ['GET', 'POST', 'DELETE'].filter(isRouted);
}

function wrongMethod(request: { method: string; path: string; allowed: readonly string[] }): Response {
  const allow = request.allowed.join(', ');
  const message = `${request.path.slice(0, 200)} does not take ${request.method}; use ${allow}`;
  const error = { message, type: 'invalid_request_error', param: null, code: 'method_not_allowed' };
  return Response.json({ error }, { status: 405, headers: { allow } });
}

/** Only what is a fault of ours needs an operator; clients get all other errors explained and see to them themselves. */
function logError(logger: Logger, thrown: unknown, request: string | undefined): void {
  const error = asSkeinError(thrown);
  const fields = request === undefined ? {} : { request };
  if (error.code === 'internal') logger.error({ ...fields, error: thrown }, 'a request failed');
  else logger.debug({ ...fields, code: error.code, reason: error.message }, 'a request was refused');
}
