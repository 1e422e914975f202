import type { GenerationInput } from '@skein/protocol';
import type { CatalogModel, GenerationUpdate, Interruptions, Route, Transcript } from '@skein/serving';

import type { AnsweringMachine, AskedReplica } from '../audit/index.ts';
import type { RoutingHeaders } from './routing-headers.ts';

/** A model that requests can name. One that is not served yet is deployed for its first request. */
export interface ServedModel extends CatalogModel {
  /** Id under which it is offered: its name, or its SHA-256 where several models have that name. */
  readonly id: string;
  /** Largest context of its ready replicas, in tokens; undefined when there are none. */
  readonly contextTokens: number | undefined;
}

/** The generation of one choice. Each replica that is tried may say that it has begun; text comes from the last one. */
export interface Choice extends AsyncIterable<GenerationUpdate> {
  /** Its replica, or the last one. Undefined before the first attempt. */
  readonly route: Route | undefined;
  /** The updates that were yielded so far, from which the choice can be continued. */
  readonly transcript: Pick<Transcript, 'continuation'>;
  /** The interruptions since it was continued, or began. Default: none. */
  readonly interruptions?: Interruptions | undefined;
  /** The machines that have seen its request so far. Default: unknown. */
  readonly receipt?: AnswerReceipt | undefined;
}

/** The machines that a request has gone to so far, each in one of the two lists; empty where it asks for no labels. */
export interface AnswerReceipt {
  /** The machines that may have computed a part of its answer. */
  readonly machines: readonly AnsweringMachine[];
  /** The others, which have read question and answer along in case it had to go on there. */
  readonly readAlong: readonly AnsweringMachine[];
}

/** The parts of the coordinator that the OpenAI endpoints need. */
export interface GenerationPort {
  models(): readonly ServedModel[];
  /**
   * Finds the model that a request names.
   *
   * @throws SkeinError `model-not-found`; `no-peers` while members are missing that may have it; `invalid-request` when
   * several models have the name
   */
  find(reference: string): ServedModel;
  /**
   * Makes one generation of each input, at leads of a model that is named by its SHA-256; deploys the model when no
   * lead serves it. An input with `resume` goes on from there. Nothing is sent before they are iterated, which has to be side by side: the others wait for the
   * first to begin, and then find its prompt in the lead's cache. Iterating throws `model-not-found`, `no-peers`,
   * `does-not-fit`, `aborted`, `deadline-exceeded` and other SkeinErrors. Aborting the signal frees all sequences.
   */
  generate(
    model: string,
    inputs: readonly [GenerationInput, ...GenerationInput[]],
    options: {
      /** Id of the request on every machine. */
      readonly id: string;
      readonly signal: AbortSignal;
      /** Labels of the machines, and session. A request whose labels no replica has ends with `no-peers`. Default: none. */
      readonly routing?: RoutingHeaders | undefined;
      /** Resolves when the request may be sent. Its error is that of the generations. Default: it may be sent at once. */
      readonly admitted?: Promise<void> | undefined;
      /** Called with each replica right before the request, or the answer to read along, is sent there. */
      readonly onAsk?: ((replica: AskedReplica) => void) | undefined;
    },
  ): readonly Choice[];
}
