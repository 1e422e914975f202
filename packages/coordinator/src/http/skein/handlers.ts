import type {
  AdminRoute,
  AdminRouteName,
  AdminRoutes,
  AnswerRoute,
  AnswerTo,
  Callers,
  EventRoute,
  EventTo,
  RequestOf,
} from '@skein/protocol';

export interface AnswerContext {
  /** Aborts when the caller goes away, or the server stops. */
  readonly signal: AbortSignal;
}

export interface EventContext<Event> extends AnswerContext {
  /** Reports a step to the caller. A slow caller misses steps in between, never the latest. */
  readonly onEvent: (event: Event) => void;
}

/** The answer of a route to a request that has been checked. A thrown error is the answer, too. */
type AdminHandler<Route extends AdminRoute> = Route extends EventRoute
  ? (request: RequestOf<Route>, context: EventContext<EventTo<Route>>) => Promise<EventTo<Route>>
  : Route extends AnswerRoute
    ? (request: RequestOf<Route>, context: AnswerContext) => AnswerTo<Route> | Promise<AnswerTo<Route>>
    : never;

/** Handlers of all routes for these callers. */
export type AdminHandlers<Who extends Callers> = {
  readonly [Name in AdminRouteName<Who>]: AdminHandler<AdminRoutes[Name]>;
};
