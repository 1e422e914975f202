import { limits, type CacheOperation } from '@skein/protocol';

/** Most history tokens that samplers are told in one step. They bound a step's header. */
const maxHistoryTokens = limits.maxPromptTokens;

/**
 * The cache operations that are decided and not sent yet. They are sent in the order of the decisions, with or before
 * the first rows that need them.
 */
export class OperationQueue {
  readonly #operations: CacheOperation[] = [];

  add(...operations: readonly CacheOperation[]): void {
    this.#operations.push(...operations);
  }

  /** Operations that wait, the oldest first. */
  get all(): readonly CacheOperation[] {
    return this.#operations;
  }

  /** Returns the oldest operations, as many as a step may hold, and whether those are all. */
  head(): { readonly operations: CacheOperation[]; readonly isAll: boolean } {
    let historyTokens = 0;
    const end = this.#operations.findIndex((operation, index) => {
      if (operation.type === 'sample-with') historyTokens += operation.history?.length ?? 0;
      return index >= limits.maxOperations || (index > 0 && historyTokens > maxHistoryTokens);
    });
    return { operations: this.#operations.slice(0, end === -1 ? undefined : end), isAll: end === -1 };
  }

  /** Forgets the oldest operations, which were sent. */
  drop(count: number): void {
    this.#operations.splice(0, count);
  }
}
