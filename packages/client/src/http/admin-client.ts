import {
  placeRequest,
  type AdminRoute,
  type AnswerOf,
  type AnswerRoute,
  type EventOf,
  type EventRoute,
  type RequestTo,
} from '@skein/protocol';

import { Endpoint, parseAnswer, type EndpointRequest, type Fetch } from './endpoint.ts';
import { readEvents } from './read-events.ts';

export interface AdminClientOptions {
  /** URL of the daemon's API, e.g. `http://127.0.0.1:7331`. */
  readonly url: string;
  /** Another way to the daemon than TCP. Default: the platform's `fetch`. */
  readonly fetch?: Fetch | undefined;
}

/**
 * A caller of the routes of the admin contract, each with its own types, which checks the answers. Its methods throw
 * the server's error, `not-running` when nothing answers, `peer-lost` when the connection breaks, and
 * `protocol-violation` for answers that break the contract. It has no deadlines of its own.
 */
export class AdminClient {
  readonly #endpoint: Endpoint;

  /** @throws SkeinError `invalid-request` for a malformed URL */
  constructor({ url, fetch }: AdminClientOptions) {
    this.#endpoint = new Endpoint(url, { fetch });
  }

  /** Sends a request and returns its answer. */
  async ask<Route extends AnswerRoute>(
    route: Route,
    request: RequestTo<Route>,
    { signal }: Pick<EndpointRequest, 'signal'>,
  ): Promise<AnswerOf<Route>> {
    const { path, ...placed } = requestFor(route, request);
    return await this.#endpoint.json<Route['answer']>(path, { ...placed, signal, schema: route.answer });
  }

  /** Begins a change, and yields its events until it is over. Closes the connection when the caller leaves early. */
  async *follow<Route extends EventRoute>(
    route: Route,
    request: RequestTo<Route>,
    { signal }: Pick<EndpointRequest, 'signal'>,
  ): AsyncGenerator<EventOf<Route>, void, undefined> {
    const { path, ...placed } = requestFor(route, request);
    const response = await this.#endpoint.fetch(path, { ...placed, accept: 'text/event-stream', signal });
    for await (const event of readEvents(response, { hasEndMark: false })) {
      yield parseAnswer<Route['event']>(route.event, event);
    }
  }
}

function requestFor<Route extends AdminRoute>(route: Route, request: RequestTo<Route>) {
  return { method: route.method, ...placeRequest(route, request) };
}
