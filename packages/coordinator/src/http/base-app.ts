import { asSkeinError, type Logger } from '@skein/protocol';
import { Hono } from 'hono';

import { errorResponse } from './error-response.ts';
import { browserGuard } from './guard.ts';
import { requestIdOf } from './node-exchange.ts';

/** Makes an app that keeps web pages out, and explains errors and unknown paths. */
export function createBaseApp(
  logger: Logger,
  options: {
    /** Answers requests for paths that are not there. Default: an error that says so. */
    readonly elsewhere?: Hono['fetch'];
  } = {},
): Hono {
  const { elsewhere } = options;
  const app = new Hono();
  app.use(browserGuard());
  app.notFound(async ({ req: { method, path, raw }, env }) => {
    const allowed = allowedMethods(app, path);
    if (allowed.length > 0) return wrongMethod({ method, path, allowed });
    return elsewhere === undefined ? unknownUrl(method, path) : await elsewhere(raw, env);
  });
  app.onError((error, context) => {
    logError(logger, error, requestIdOf(context));
    return errorResponse(error);
  });
  return app;
}

/** Makes the answer for an unknown path. It is about the URL, not about a request's content: no code of ours fits. */
function unknownUrl(method: string, path: string): Response {
  const message = `Unknown request URL: ${method} ${path.slice(0, 200)}. See /v1/models and /v1/chat/completions`;
  const error = { message, type: 'invalid_request_error', param: null, code: 'unknown_url' };
  return Response.json({ error }, { status: 404 });
}

/** Lists the methods of a path. */
function allowedMethods(app: Hono, path: string): readonly string[] {
  // Middleware is registered for every method.
  const isRouted = (method: string) => app.router.match(method, path)[0].some(([[, route]]) => route.method === method);
  return ['GET', 'POST', 'DELETE'].filter(isRouted);
}

function wrongMethod(request: { method: string; path: string; allowed: readonly string[] }): Response {
  const allow = request.allowed.join(', ');
  const message = `${request.path.slice(0, 200)} does not take ${request.method}; use ${allow}`;
  const error = { message, type: 'invalid_request_error', param: null, code: 'method_not_allowed' };
  return Response.json({ error }, { status: 405, headers: { allow } });
}

/**
 * Logs an error. Only a fault of ours needs an operator; clients get all other errors explained and attend to them
 * themselves.
 */
export function logError(logger: Logger, thrown: unknown, request?: string): void {
  const error = asSkeinError(thrown);
  const fields = request === undefined ? {} : { request };
  if (error.code === 'internal') logger.error({ ...fields, error: thrown }, 'a request failed');
  else logger.debug({ ...fields, code: error.code, reason: error.message }, 'a request was refused');
}
