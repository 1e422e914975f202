import { watch, type FSWatcher } from 'node:fs';

import { untilAborted } from '@skein/mesh';

/** A watch on a directory. */
export class DirectoryChanges implements Disposable {
  readonly #watcher: FSWatcher;
  #changed = Promise.withResolvers<void>();

  constructor(directory: string) {
    this.#watcher = watch(directory, () => this.#changed.resolve());
    // Waiters look at the directory and find out.
    this.#watcher.on('error', () => this.#changed.resolve());
  }

  /** Begins to wait: {@link next} counts changes from now on. Call it before you read the directory. */
  reset(): void {
    this.#changed = Promise.withResolvers();
  }

  /** Resolves when something has changed since the last {@link reset}. Throws the signal's reason when that aborts. */
  async next(signal: AbortSignal): Promise<void> {
    await untilAborted(this.#changed.promise, signal);
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
