import { watch, type FSWatcher } from 'node:fs';

import { untilAborted } from '@skein/mesh';

/** Tells when something in a directory has changed. */
export class DirectoryChanges implements Disposable {
  readonly #watcher: FSWatcher;
  #changed = Promise.withResolvers<void>();

  constructor(directory: string) {
    this.#watcher = watch(directory, () => this.#changed.resolve());
    // Who waits finds out by looking.
    this.#watcher.on('error', () => this.#changed.resolve());
  }

  /** What is waited for next comes after this. To be called before one looks. */
  reset(): void {
    this.#changed = Promise.withResolvers();
  }

  /** Resolves when something has changed since the last {@link reset}. Throws the signal's reason. */
  async next(signal: AbortSignal): Promise<void> {
    await untilAborted(this.#changed.promise, signal);
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
