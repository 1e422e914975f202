import { setTimeout as delay } from 'node:timers/promises';

import type { Sampling } from '@skein/protocol';

import { withJsonSchema } from '../engine/json-schema/index.ts';

/** Grammars that are kept, by their schemas: requests of one program mostly come with the same few. */
const mostKept = 16;

/**
 * Makes grammars of the JSON schemas of requests. A large schema holds the event loop for some tens of milliseconds. So one is
 * worked on at a time, and the next one after a pause of the same length: everybody else has half of the time at least.
 */
export class SchemaGrammars {
  /** Least recently used first. */
  readonly #kept = new Map<string, string>();
  #free = Promise.resolve();

  /** Returns sampling that follows a schema. Throws as `withJsonSchema` does. */
  async follow(sampling: Sampling, jsonSchema: string): Promise<Sampling> {
    const grammar = sampling.grammar === undefined ? this.#kept.get(jsonSchema) : undefined;
    if (grammar === undefined) return await this.#inTurn(sampling, jsonSchema);
    this.#keep(jsonSchema, grammar);
    return { ...sampling, grammar };
  }

  async #inTurn(sampling: Sampling, jsonSchema: string): Promise<Sampling> {
    const before = this.#free;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = promise;
    await before;
    const startedMs = performance.now();
    try {
      const followed = withJsonSchema(sampling, jsonSchema);
      if (followed.grammar !== undefined) this.#keep(jsonSchema, followed.grammar);
      return followed;
    } finally {
      void delay(performance.now() - startedMs, undefined, { ref: false }).then(resolve);
    }
  }

  #keep(jsonSchema: string, grammar: string): void {
    this.#kept.delete(jsonSchema);
    this.#kept.set(jsonSchema, grammar);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= mostKept) return;
      this.#kept.delete(oldest);
    }
  }
}
