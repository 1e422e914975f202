import type { Logger } from '@skein/protocol';
import type { Hono } from 'hono';

import type { Schedule } from '../timers.ts';
import type { Admission } from '../admission/index.ts';
import type { Requests } from '../audit/index.ts';
import { createBaseApp, logError } from './base-app.ts';
import { RequestBodies } from './body/index.ts';
import type { GenerationPort } from './generation-port.ts';
import { openAiRoutes } from './openai/routes.ts';
import type { AdminHandlers } from './skein/handlers.ts';
import { skeinRoutes } from './skein/routes.ts';
import { Turns } from './turns.ts';

export interface AppComponents {
  readonly generations: GenerationPort;
  readonly admission: Admission;
  readonly administration: AdminHandlers<'any'>;
  /** The records of requests. */
  readonly requests: Requests;
  /** Aborts when the server stops, and ends requests that run. */
  readonly stopped: AbortSignal;
  readonly logger: Logger;
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
  /** Returns a unique text of letters, digits and dashes. */
  readonly newId: () => string;
  readonly schedule: Schedule;
  /** Returns an unsigned 32 bit integer, for requests without a seed. */
  readonly randomSeed: () => number;
}

/** Makes the HTTP API: OpenAI's endpoints under `/v1`, Skein's own for all callers under `/skein/v1`, and `/health`. */
export function createApp(components: AppComponents): Hono {
  const { logger, administration } = components;
  const onError = (error: unknown, request?: string) => logError(logger, error, request);
  const turns = new Turns();
  const shared = { ...components, bodies: new RequestBodies({ turns }), turns, onError };
  const app = createBaseApp(logger);
  app.get('/health', () => Response.json({ status: 'ok' }));
  app.route('/v1', openAiRoutes(shared));
  app.route('/', skeinRoutes('any', administration, shared));
  return app;
}
