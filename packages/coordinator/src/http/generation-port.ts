import type { GenerationInput } from '@skein/protocol';
import type { CatalogModel, GenerationUpdate, Route } from '@skein/serving';

import type { AskedReplica } from '../audit/index.ts';

/** A model that requests can name. What is not served yet is deployed for its first request. */
export interface ServedModel extends CatalogModel {
  /** What it is offered as: its name, or its SHA-256 where several models have that name. */
  readonly id: string;
  /** The largest context of its replicas that are ready; undefined when none is. */
  readonly contextTokens: number | undefined;
}

/** The generation of one choice. Each replica that is tried may say that it has begun; text comes from the last one. */
export interface Choice extends AsyncIterable<GenerationUpdate> {
  /** Where it is, or was last. Undefined before the first attempt. */
  readonly route: Route | undefined;
}

/** What the OpenAI endpoints need from the rest of the coordinator. */
export interface GenerationPort {
  models(): readonly ServedModel[];
  /**
   * Finds the model that a request names. Throws `model-not-found`, `no-peers` while members are missing that may have it, and
   * `invalid-request` when several are meant.
   */
  find(reference: string): ServedModel;
  /**
   * Makes one generation of each input, at leads of a model that is named by its SHA-256; the model is deployed when nobody
   * serves it. Nothing is sent before they are iterated, which has to be side by side: the others wait for the first to
   * begin, and then find its prompt in the lead's cache. Iterating throws `model-not-found`, `no-peers`, `does-not-fit`,
   * `aborted`, `deadline-exceeded`, ... Aborting the signal frees all sequences.
   */
  generate(
    model: string,
    inputs: readonly [GenerationInput, ...GenerationInput[]],
    options: {
      /** Names the request on every machine. */
      readonly id: string;
      readonly signal: AbortSignal;
      /** Told of each replica right before the request is sent there. */
      readonly onAsk?: ((replica: AskedReplica) => void) | undefined;
    },
  ): readonly Choice[];
}
