import type { NamedModel } from '@skein/protocol';

/**
 * The model that this machine was started with, and may have to get first. Requests for it wait for its deployment
 * instead of beginning one of their own.
 */
export class ComingModel {
  readonly #names: ReadonlySet<string>;
  readonly #begun = Promise.withResolvers<void>();
  #model: string | undefined;
  #hasBegun = false;

  /** @param names all that people may call it; case does not matter */
  constructor(names: readonly string[]) {
    this.#names = new Set(names.map((name) => name.toLowerCase()));
  }

  /** Names, in lower case, by which it is awaited: none once its deployment has begun. */
  get awaited(): ReadonlySet<string> {
    return this.#hasBegun ? new Set() : this.#names;
  }

  /** Resolves when its deployment begins. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Notes its SHA-256, by which it is told from others of its name. */
  found(model: string): void {
    this.#model = model;
  }

  /** Tells whether a model is this one, and its deployment has not begun. */
  isAwaited({ model, name, aliases = [] }: NamedModel): boolean {
    if (this.#hasBegun) return false;
    if (this.#model !== undefined) return model === this.#model;
    return [model, name, ...aliases].some((one) => this.#names.has(one.toLowerCase()));
  }

  /** Ends the waits for it. */
  begin(): void {
    this.#hasBegun = true;
    this.#begun.resolve();
  }
}
