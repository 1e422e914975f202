import type { Logger } from '@skein/protocol';
import type { Hono } from 'hono';

import { schedule } from '../timers.ts';
import { createBaseApp, logError } from './base-app.ts';
import { RequestBodies } from './body/index.ts';
import type { AdminHandlers } from './skein/handlers.ts';
import { skeinRoutes } from './skein/routes.ts';

export interface LocalAppComponents {
  /** Handlers of the routes that are for callers on this machine alone. */
  readonly administration: AdminHandlers<'local'>;
  /**
   * Returns the coordinator's HTTP API. Throws SkeinError `not-running` where this machine does not coordinate, or not
   * yet.
   */
  readonly api: () => Pick<Hono, 'fetch'>;
  readonly logger: Logger;
}

/**
 * Makes the app of a daemon's socket: the routes for local callers, and the coordinator's whole API, where there is
 * one. The TCP port serves that API alone, so no route for local callers is ever mounted there.
 */
export function createLocalApp({ administration, api, logger }: LocalAppComponents): Hono {
  const app = createBaseApp(logger, { elsewhere: async (request, env) => await api().fetch(request, env) });
  // The process goes on for as long as the daemon does, which ends all its parts by itself.
  const stopped = new AbortController().signal;
  const onError = (error: unknown) => logError(logger, error);
  app.route('/', skeinRoutes('local', administration, { bodies: new RequestBodies(), stopped, schedule, onError }));
  return app;
}
