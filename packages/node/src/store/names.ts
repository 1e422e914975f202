import { readFile } from 'node:fs/promises';

import { sha256Schema } from '@skein/protocol';
import { z } from 'zod';

import { replaceFile } from '../disk/index.ts';
import type { StoreLayout } from './layout.ts';
import { takeLock } from './lock.ts';

const namesSchema = z.record(z.string(), sha256Schema);

/**
 * Which model a name means: what people called it when they pulled it. A convenience, from which nothing but names is lost, so a
 * damaged file counts as empty.
 */
export class Names {
  readonly #layout: StoreLayout;

  constructor(layout: StoreLayout) {
    this.#layout = layout;
  }

  /** The model's SHA-256; case does not matter. */
  async find(name: string): Promise<string | undefined> {
    return (await this.#read()).get(name.toLowerCase());
  }

  /** All names, by the SHA-256 of the model that they mean. In lower case. */
  async byModel(): Promise<ReadonlyMap<string, readonly string[]>> {
    const grouped = Map.groupBy(await this.#read(), ([, model]) => model);
    return new Map([...grouped].map(([model, entries]) => [model, entries.map(([name]) => name)]));
  }

  /** Makes names mean this model from now on. */
  async set(names: readonly string[], model: string, { signal }: { signal: AbortSignal }): Promise<void> {
    const known = await this.#read();
    if (names.every((name) => known.get(name.toLowerCase()) === model)) return;
    await using _lock = await takeLock(this.#layout.namesLock, { signal });
    const current = await this.#read();
    for (const name of names) current.set(name.toLowerCase(), model);
    await replaceFile(this.#layout.names, `${JSON.stringify(Object.fromEntries(current), undefined, 2)}\n`);
  }

  async #read(): Promise<Map<string, string>> {
    try {
      return new Map(Object.entries(namesSchema.parse(JSON.parse(await readFile(this.#layout.names, 'utf8')))));
    } catch {
      return new Map();
    }
  }
}
