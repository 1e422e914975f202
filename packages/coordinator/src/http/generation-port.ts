import type { GenerationUpdate, Route } from '@skein/mesh';
import type { GenerationRequest } from '@skein/protocol';

import type { AskedReplica } from '../audit/index.ts';

/** A model that requests can name. */
export interface ServedModel {
  /** The name under which it is offered. */
  readonly id: string;
  /** SHA-256 of its file; requests may name it by this, too. */
  readonly sha256: string;
  /** Size of its file; undefined when only stages of it are left in the mesh. */
  readonly bytes: number | undefined;
  /** Whether a replica is ready now. If not, the first request deploys one. */
  readonly deployed: boolean;
}

/** A request as the engine takes it, without the deployment, which routing chooses. */
export type GenerationInput = Omit<GenerationRequest, 'type' | 'deployment'>;

/** Generations of one lead, the first of which has begun. */
export interface RoutedChoices extends Route {
  /** One for each input, in their order. To be read to their ends or left; those never begun need the signal aborted. */
  readonly choices: readonly AsyncIterable<GenerationUpdate>[];
}

/** What the OpenAI endpoints need from the rest of the coordinator. */
export interface GenerationPort {
  models(): readonly ServedModel[];
  /**
   * Routes a request to a lead, deploying the model first when it is held but not deployed, and resolves when the lead has
   * begun to answer the first input. Inputs of one prompt then find it in the lead's cache. Aborting the signal frees all
   * sequences. Throws `model-not-found`, `no-peers`, `does-not-fit`, `aborted`, `deadline-exceeded`, ...; so may the
   * choices' iteration.
   */
  generate(
    model: string,
    inputs: readonly [GenerationInput, ...GenerationInput[]],
    options: {
      readonly signal: AbortSignal;
      /** Told of each replica right before the request is sent there. */
      readonly onAsk?: ((replica: AskedReplica) => void) | undefined;
    },
  ): Promise<RoutedChoices>;
}
