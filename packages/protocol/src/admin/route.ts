import type { z } from 'zod';

/**
 * The callers of a route: `local` stands for those that may open the daemon's socket, `any` also for those that reach
 * its TCP port.
 */
export type Callers = 'local' | 'any';

interface RouteRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Path of the route. A segment with a colon is a field of the request: `/skein/v1/members/:peer`. */
  readonly path: `/skein/v1/${string}`;
  readonly callers: Callers;
  /**
   * Schema of the request, an object. Fields that are not in the path go into the JSON body of a POST, and as text into
   * the query of other methods.
   */
  readonly request: z.ZodType<object, object>;
}

/** A question with one answer, in JSON. */
export interface AnswerRoute extends RouteRequest {
  readonly answer: z.ZodType;
}

/** A change that is followed by server-sent events. The last one tells how it ended; a failure is an error event. */
export interface EventRoute extends RouteRequest {
  readonly event: z.ZodType;
  /**
   * The answer to callers that take no events, sent once the change is over: `last-event` sends the last event with
   * status 201 where `accept` names JSON, `nothing` sends status 204 where it does not name events. Default: all
   * callers get events.
   */
  readonly withoutEvents?: 'last-event' | 'nothing';
}

export type AdminRoute = AnswerRoute | EventRoute;

/** A type that is read-only at every depth, for data that a caller hands over and keeps. */
export type Immutable<Value> = Value extends readonly (infer Element)[]
  ? readonly Immutable<Element>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: Immutable<Value[Key]> }
    : Value;

/** A request as its caller makes it. */
export type RequestTo<Route extends AdminRoute> = Immutable<z.input<Route['request']>>;
/** A request as its handler gets it: checked. */
export type RequestOf<Route extends AdminRoute> = z.output<Route['request']>;
/** An answer as the handler gives it. */
export type AnswerTo<Route extends AnswerRoute> = Immutable<z.input<Route['answer']>>;
/** An answer as the caller gets it: checked. */
export type AnswerOf<Route extends AnswerRoute> = z.output<Route['answer']>;
/** An event as the handler gives it. */
export type EventTo<Route extends EventRoute> = Immutable<z.input<Route['event']>>;
/** An event as the caller gets it: checked. */
export type EventOf<Route extends EventRoute> = z.output<Route['event']>;

/** A request as HTTP carries it. */
export interface PlacedRequest {
  /** The path with its query. */
  readonly path: string;
  /** The body to send as JSON. */
  readonly body?: object;
}

/**
 * Distributes a request's fields over path, query and body, as its route demands. Leaves out fields that are undefined.
 */
export function placeRequest<Route extends AdminRoute>(route: Route, request: RequestTo<Route>): PlacedRequest {
  const given: [string, unknown][] = Object.entries(request as object);
  const fields = new Map(given.filter(([, value]) => value !== undefined));
  const path = route.path.replaceAll(/:(\w+)/g, (_, name: string) => {
    const value = encodeURIComponent(String(fields.get(name)));
    fields.delete(name);
    return value;
  });
  if (route.method === 'POST') return { path, body: Object.fromEntries(fields) };
  const query = new URLSearchParams();
  for (const [name, value] of fields) query.set(name, String(value));
  return { path: query.size === 0 ? path : `${path}?${query.toString()}` };
}
