import { readFileIfAny, setAside } from '@skein/mesh';
import { checkJson, sha256Schema, type Logger } from '@skein/protocol';
import { z } from 'zod';

import { replaceFile, takeLock } from '../disk/index.ts';
import type { StoreLayout } from './layout.ts';

const namesSchema = z.record(z.string(), sha256Schema);
/** Most bytes of the file: a hundred thousand names. */
const maxFileBytes = 16 * 1024 * 1024;

/**
 * The names under which people pulled models. A convenience: models are found by their hashes and their own names while
 * the file is damaged, and a damaged one is set aside before a new one is written.
 */
export class Names {
  readonly #layout: StoreLayout;
  readonly #logger: Logger;
  #hasWarned = false;

  constructor(layout: StoreLayout, logger: Logger) {
    this.#layout = layout;
    this.#logger = logger;
  }

  /**
   * Returns the SHA-256 of the model with a name; case does not matter. Undefined when no model was pulled by it.
   *
   * @throws SkeinError `disk-failed` when the names can't be read
   */
  async find(name: string): Promise<string | undefined> {
    return (await this.#read()).names.get(name.toLowerCase());
  }

  /** Returns all names, in lower case, by the SHA-256 of their model. */
  async byModel(): Promise<ReadonlyMap<string, readonly string[]>> {
    const grouped = Map.groupBy((await this.#read()).names, ([, model]) => model);
    return new Map([...grouped].map(([model, entries]) => [model, entries.map(([name]) => name)]));
  }

  /**
   * Assigns names to a model; a name that belonged to another one moves.
   *
   * @throws SkeinError `disk-failed` when they can't be written
   */
  async set(names: readonly string[], model: string, { signal }: { signal: AbortSignal }): Promise<void> {
    const { names: known } = await this.#read();
    if (names.every((name) => known.get(name.toLowerCase()) === model)) return;
    await using _lock = await takeLock(this.#layout.namesLock, { signal });
    const { names: current, isDamaged } = await this.#read();
    for (const name of names) current.set(name.toLowerCase(), model);
    if (isDamaged) await setAside(this.#layout.names);
    await replaceFile(this.#layout.names, `${JSON.stringify(Object.fromEntries(current), undefined, 2)}\n`);
  }

  /**
   * Forgets all names of a model.
   *
   * @throws SkeinError `disk-failed` when they can't be written
   */
  async remove(model: string, { signal }: { signal: AbortSignal }): Promise<void> {
    if (!(await this.#read()).names.values().some((named) => named === model)) return;
    await using _lock = await takeLock(this.#layout.namesLock, { signal });
    const { names } = await this.#read();
    const others = [...names].filter(([, named]) => named !== model);
    await replaceFile(this.#layout.names, `${JSON.stringify(Object.fromEntries(others), undefined, 2)}\n`);
  }

  async #read(): Promise<{ readonly names: Map<string, string>; readonly isDamaged: boolean }> {
    const path = this.#layout.names;
    const stored = await readFileIfAny(path, { maxBytes: maxFileBytes });
    if (stored === undefined) return { names: new Map(), isDamaged: false };
    const checked = checkJson(namesSchema, stored);
    if (checked.ok) return { names: new Map(Object.entries(checked.data)), isDamaged: false };
    if (!this.#hasWarned) {
      const fix = 'names given at a pull mean nothing until it is restored, or they are pulled again';
      this.#logger.warn({ path, reason: checked.problem }, `the file of model names is damaged: ${fix}`);
    }
    this.#hasWarned = true;
    return { names: new Map(), isDamaged: true };
  }
}
