import type { ChatEndpoint } from '../ask.ts';

/** Three replicas of one model behind one endpoint. */
export interface System {
  readonly name: string;
  /** Starts it, with nothing in its caches. */
  readonly start: (context: SystemContext) => Promise<ChatEndpoint & AsyncDisposable>;
}

export interface SystemContext {
  readonly model: { readonly name: string; readonly path: string };
  /** Empty; data directories go there. */
  readonly directory: string;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
  /** Reports a step, in one line. */
  readonly say: (line: string) => void;
}

/** Names of the machines that hold a replica each. */
export const machines = ['one', 'two', 'three'] as const;
/** Answers at once of each replica, and the tokens of context of all of them together. */
export const replicaShape = { sequences: 4, contextTokens: 8192 } as const;
