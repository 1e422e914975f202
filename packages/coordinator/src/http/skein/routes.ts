import { SkeinError } from '@skein/protocol';
import { Hono } from 'hono';

import type { Schedule } from '../../timers.ts';
import type { RequestBodies } from '../body/index.ts';
import { clientLeft } from '../client-left.ts';
import { eventStream } from '../event-stream/index.ts';
import { bodyChunks, nodeResponse } from '../node-exchange.ts';
import type { AdministrationPort } from './administration-port.ts';
import { parseDeploymentRequest } from './deployment-request.ts';
import { sendProgress } from './progress-stream.ts';

export interface SkeinComponents {
  readonly administration: AdministrationPort;
  readonly bodies: RequestBodies;
  /** Aborted when the server stops. */
  readonly stopped: AbortSignal;
  readonly schedule: Schedule;
  /** Told about errors that clients get after the first byte. */
  readonly onError: (error: unknown) => void;
}

/** Skein's own endpoints, under `/skein/v1`. */
export function skeinRoutes({ administration, bodies, stopped, schedule, onError }: SkeinComponents): Hono {
  const routes = new Hono();
  routes.get('/status', () => Response.json(administration.status()));

  // Going away before the deployment is ready cancels it.
  routes.post('/deployments', async (context) => {
    const request = context.req.raw;
    using body = await bodies.readJson(request, bodyChunks(context));
    const wanted = parseDeploymentRequest(body.value);
    const left = new AbortController();
    const signal = AbortSignal.any([request.signal, stopped, left.signal]);
    if (request.headers.get('accept')?.includes('application/json') === true) {
      return Response.json({ deployment: await administration.deploy({ ...wanted, signal }) }, { status: 201 });
    }
    return await eventStream(
      async (sink) =>
        await sendProgress(sink, async (onProgress) => await administration.deploy({ ...wanted, signal, onProgress })),
      {
        outgoing: nodeResponse(context),
        cancel: () => left.abort(clientLeft()),
        onError,
        schedule,
      },
    );
  });

  // Answers when the deployment is gone. Going away before that changes nothing: no answer that runs is cut by it.
  routes.delete('/deployments/:id', async (context) => {
    const id = context.req.param('id');
    const now = isNow(context.req.query('now'));
    if (context.req.header('accept')?.includes('text/event-stream') !== true) {
      await administration.undeploy(id, { now });
      return context.body(null, 204);
    }
    return await eventStream(
      async (sink) =>
        await sendProgress(sink, async (onProgress) => await administration.undeploy(id, { now, onProgress })),
      { outgoing: nodeResponse(context), cancel: () => undefined, onError, schedule },
    );
  });
  return routes;
}

/** The query parameter `now`. Throws `invalid-request` for what is neither `true` nor `false`. */
function isNow(text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw new SkeinError('invalid-request', 'now: must be true or false', { details: { param: 'now' } });
}
