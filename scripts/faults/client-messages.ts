import type { RunRequest } from './requests.ts';

/** The way in which a client asks: over the HTTP API of coordinators, or as a member that asks leads itself. */
export type Access =
  | { readonly way: 'http'; readonly urls: readonly [string, ...string[]] }
  | { readonly way: 'mesh'; readonly invite: string; readonly name: string };

/** A command to a client in a process of its own, as a line of JSON. Each is answered by one line. */
export type ClientCommand = { readonly number: number } & (
  | { readonly do: 'ask'; readonly request: RunRequest }
  /** Has a lead go on behind tokens that were delivered, with nothing else known of the answer. By members alone. */
  | { readonly do: 'replay'; readonly request: RunRequest; readonly tokens: readonly number[] }
);

/** A line of a client: that it is ready, then one for each command. */
export type ClientMessage =
  | { readonly ready: true }
  | { readonly number: number; readonly answer: Answer }
  | { readonly number: number; readonly tokens: readonly number[] }
  | { readonly number: number; readonly failure: string };

/** One choice of an answer. */
export interface Choice {
  readonly tokens: readonly number[];
  readonly text: string;
  /** Undefined when it did not come to its end. */
  readonly finishReason: string | undefined;
}

/** The longest time in which nothing came of an answer that had begun to come. */
export interface Pause {
  readonly ms: number;
  /** End, in milliseconds since 1970. */
  readonly endedAt: number;
  /** Number of tokens that each choice had before. */
  readonly tokens: readonly number[];
}

/** An answer as its client saw it. */
export interface Answer {
  readonly choices: readonly Choice[];
  /**
   * `complete`; `error`: ended by an error, see there; `disconnected`: the connection to the coordinator broke; `hung`:
   * silent for so long that none of Skein's deadlines explains it.
   */
  readonly end: 'complete' | 'error' | 'disconnected' | 'hung';
  readonly error?: { readonly code: string; readonly message: string };
  readonly usage?: {
    readonly completionTokens: number;
    readonly failovers?: number | undefined;
    readonly pauseMs?: number | undefined;
  };
  readonly pause?: Pause;
}
