import { setTimeout as delay } from 'node:timers/promises';

import { asSkeinError, type Sampling, type SkeinError } from '@skein/protocol';

import { assertNoGrammar, grammarOf } from '../engine/json-schema/index.ts';

/** Most grammars and refusals that are kept, by their schemas: requests of one program mostly come with the same few. */
const mostKept = 16;
/** Pause after a schema, as a multiple of its time: everybody else has it. */
const restShare = 3;

/**
 * A maker of grammars for the JSON schemas of requests. A large schema holds the event loop for some tens of
 * milliseconds, so it works on one at a time, and pauses three times as long before the next one: everybody else has
 * most of the time.
 */
export class SchemaGrammars {
  /** Grammar of each schema, or the error why there is none. Least recently used first. */
  readonly #kept = new Map<string, string | SkeinError>();
  #free = Promise.resolve();

  /**
   * Adds the grammar of a schema to sampling settings.
   *
   * @throws SkeinError `invalid-request` as `withJsonSchema` does
   */
  async follow(sampling: Sampling, jsonSchema: string): Promise<Sampling> {
    assertNoGrammar(sampling);
    const known = this.#kept.get(jsonSchema) ?? (await this.#inTurn(jsonSchema));
    this.#keep(jsonSchema, known);
    if (typeof known !== 'string') throw known;
    return { ...sampling, grammar: known };
  }

  async #inTurn(jsonSchema: string): Promise<string | SkeinError> {
    const before = this.#free;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#free = promise;
    await before;
    // Another request of the same program may have brought it meanwhile.
    const known = this.#kept.get(jsonSchema);
    const startedMs = performance.now();
    try {
      return known ?? grammarOf(jsonSchema);
    } catch (error) {
      return asSkeinError(error);
    } finally {
      void delay(restShare * (performance.now() - startedMs), undefined, { ref: false }).then(resolve);
    }
  }

  #keep(jsonSchema: string, known: string | SkeinError): void {
    this.#kept.delete(jsonSchema);
    this.#kept.set(jsonSchema, known);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= mostKept) return;
      this.#kept.delete(oldest);
    }
  }
}
