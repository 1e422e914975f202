import type { EngineSpec } from '../fleet/engine.ts';
import type { TracedRequest } from '../traces/request.ts';

/** The state of a replica, as its card tells it a moment later. */
export interface ReplicaLoad {
  readonly active: number;
  readonly queued: number;
  readonly waitingTokens: number;
  readonly sequenceMs: number | undefined;
}

/** A router under test. It hears of the fleet by the callbacks alone, each as late as it would be. */
export interface Router {
  /**
   * Has a request wait until it may be sent. `begin` chooses its replica and sends it; call it once. Default: requests are
   * sent at once.
   */
  admit?(request: TracedRequest, begin: () => void): void;
  /** Returns the place of the replica for a request, among those of the fleet. */
  choose(request: TracedRequest): number;
  /** The replica has taken the request into its queue. */
  onBegin?(request: TracedRequest, replica: number): void;
  onFirstToken?(request: TracedRequest, replica: number): void;
  onEnd?(request: TracedRequest, replica: number): void;
  /** A card of a replica has come. */
  onCard?(replica: number, load: ReplicaLoad): void;
  /** The news has come that a replica holds other blocks. */
  onBlocks?(replica: number, added: readonly number[], removed: readonly number[]): void;
}

export interface RouterEnvironment {
  readonly replicas: readonly EngineSpec[];
  readonly blockTokens: number;
  readonly random: () => number;
  readonly nowMs: () => number;
  /** Calls back after a time, in milliseconds. */
  readonly after: (delayMs: number, callback: () => void) => void;
}

/** A kind of router, by the name under which tables show it. */
export interface RouterKind {
  readonly name: string;
  readonly create: (environment: RouterEnvironment) => Router;
}
