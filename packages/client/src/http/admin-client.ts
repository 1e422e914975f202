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
  /** E.g. `http://127.0.0.1:7331`. */
  readonly url: string;
  /** Another way there than TCP. Default: the platform's `fetch`. */
  readonly fetch?: Fetch | undefined;
}

/**
 * Calls the routes of the admin contract, each with its own types, and checks what comes back. Throws the error that the
 * server answers with, `not-running` when none answers, `peer-lost` when the connection breaks, and `protocol-violation` for
 * answers that break the contract. Has no deadlines of its own.
 */
export class AdminClient {
  readonly #endpoint: Endpoint;

  /** Throws `invalid-request` for a URL that is none. */
  constructor({ url, fetch }: AdminClientOptions) {
    this.#endpoint = new Endpoint(url, { fetch });
  }

  /** Asks a question. */
  async ask<Route extends AnswerRoute>(
    route: Route,
    request: RequestTo<Route>,
    { signal }: Pick<EndpointRequest, 'signal'>,
  ): Promise<AnswerOf<Route>> {
    const { path, ...placed } = requestFor(route, request);
    return await this.#endpoint.json<Route['answer']>(path, { ...placed, signal, schema: route.answer });
  }

  /** Begins a change, and yields its events to its end. Leaving early closes the connection. */
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
