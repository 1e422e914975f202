import type { z } from 'zod';

/** Who may call a route: `local`, whoever may open the daemon's socket; `any`, also whoever reaches the TCP port. */
export type Callers = 'local' | 'any';

interface RouteRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Fields of the request that are part of it stand there with a colon: `/skein/v1/members/:peer`. */
  readonly path: `/skein/v1/${string}`;
  readonly callers: Callers;
  /**
   * Of an object. Fields that are not in the path are in the JSON body of a POST, and as text in the query of all other
   * methods.
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
   * The answer to callers who take no events, once the change is over: the last event with 201 where `accept` names JSON,
   * or nothing with 204 where it does not name events. Left out: all callers get events.
   */
  readonly withoutEvents?: 'last-event' | 'nothing';
}

export type AdminRoute = AnswerRoute | EventRoute;

/** A type with all that it holds read-only: data that somebody hands in and keeps. */
export type Immutable<Value> = Value extends readonly (infer Element)[]
  ? readonly Immutable<Element>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: Immutable<Value[Key]> }
    : Value;

/** A request, as its caller makes it. */
export type RequestTo<Route extends AdminRoute> = Immutable<z.input<Route['request']>>;
/** A request, as its handler gets it: checked. */
export type RequestOf<Route extends AdminRoute> = z.output<Route['request']>;
/** An answer, as the handler gives it. */
export type AnswerTo<Route extends AnswerRoute> = Immutable<z.input<Route['answer']>>;
/** An answer, as the caller gets it: checked. */
export type AnswerOf<Route extends AnswerRoute> = z.output<Route['answer']>;
/** An event, as the handler gives it. */
export type EventTo<Route extends EventRoute> = Immutable<z.input<Route['event']>>;
/** An event, as the caller gets it: checked. */
export type EventOf<Route extends EventRoute> = z.output<Route['event']>;

/** A request as HTTP carries it. */
export interface PlacedRequest {
  /** With the query. */
  readonly path: string;
  /** For JSON. */
  readonly body?: object;
}

/** Puts the fields of a request where its route wants them. Fields that are undefined are left out. */
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
