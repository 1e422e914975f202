import {
  adminRoutes,
  check,
  SkeinError,
  type AdminRoute,
  type AdminRouteName,
  type Callers,
  type EventRoute,
} from '@skein/protocol';
import { Hono, type Context } from 'hono';

import type { Schedule } from '../../timers.ts';
import type { RequestBodies } from '../body/index.ts';
import { clientLeft } from '../client-left.ts';
import { eventStream } from '../event-stream/index.ts';
import { bodyChunks, nodeResponse } from '../node-exchange.ts';
import { validate } from '../validate.ts';
import type { AdminHandlers, EventContext } from './handlers.ts';
import { sendProgress } from './progress-stream.ts';

export interface SkeinComponents {
  readonly bodies: RequestBodies;
  /** Aborts when the server stops. */
  readonly stopped: AbortSignal;
  readonly schedule: Schedule;
  /** Called with errors that clients get after the first byte. */
  readonly onError: (error: unknown) => void;
}

/** Serves the routes of the admin contract that are for these callers, and no other. */
export function skeinRoutes<Who extends Callers>(
  who: Who,
  handlers: AdminHandlers<Who>,
  components: SkeinComponents,
): Hono {
  const app = new Hono();
  for (const [name, route] of Object.entries(adminRoutes)) {
    if (route.callers !== who) continue;
    // Routes and their handlers belong together by the type of `handlers`; a loop over them loses that.
    const handler = handlers[name as AdminRouteName<Who>] as unknown as Handler;
    app.on(route.method, route.path, async (context) => {
      const request = await readRequest(context, route, components.bodies);
      const change: Change = async (inner) => await handler(request, inner);
      return 'event' in route
        ? await follow(context, route, { ...components, change })
        : await answer(context, { ...components, change });
    });
  }
  return app;
}

type Handler = (request: object, context: EventContext<object>) => object | Promise<object>;
type Change = (context: EventContext<object>) => Promise<object>;
type Exchange = SkeinComponents & { readonly change: Change };

/**
 * Reads and checks the fields of a request.
 *
 * @throws SkeinError `invalid-request` that names the field at fault
 */
async function readRequest(context: Context, route: AdminRoute, bodies: RequestBodies): Promise<object> {
  const placed = context.req.param();
  if (route.method === 'POST') {
    using body = await bodies.readJson(context.req.raw, bodyChunks(context));
    const { value } = body;
    return validate(route.request, isObject(value) ? { ...value, ...placed } : value);
  }
  const checked = check(route.request, { ...context.req.query(), ...placed });
  if (checked.ok) return checked.data;
  throw new SkeinError('invalid-request', checked.problem, { details: { param: checked.field } });
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function answer(context: Context, { change, stopped }: Exchange): Promise<Response> {
  const signal = AbortSignal.any([context.req.raw.signal, stopped]);
  return Response.json(await change({ signal, onEvent: () => undefined }));
}

async function follow(context: Context, route: EventRoute, exchange: Exchange): Promise<Response> {
  const { change, stopped, schedule, onError } = exchange;
  const left = new AbortController();
  const signal = AbortSignal.any([context.req.raw.signal, stopped, left.signal]);
  if (!wantsEvents(route, context.req.header('accept'))) {
    const last = await change({ signal, onEvent: () => undefined });
    return route.withoutEvents === 'nothing' ? context.body(null, 204) : Response.json(last, { status: 201 });
  }
  return await eventStream(
    async (sink) => await sendProgress(sink, async (onEvent) => await change({ signal, onEvent })),
    { outgoing: nodeResponse(context), cancel: () => left.abort(clientLeft()), onError, schedule },
  );
}

function wantsEvents({ withoutEvents }: EventRoute, accept = ''): boolean {
  if (withoutEvents === 'nothing') return accept.includes('text/event-stream');
  return withoutEvents === undefined || !accept.includes('application/json');
}
