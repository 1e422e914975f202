import { networkInterfaces } from 'node:os';

import type { NetworkInterfaces } from './interfaces.ts';

const intervalMs = 1000;

export interface NetworkWatchOptions {
  /** Called after each change that matters. */
  readonly onChange: () => void;
  /**
   * Returns the part of the interfaces whose changes matter, as plain data. Containers and virtual machines come and go
   * on interfaces that are nobody's business.
   */
  readonly relevant: (interfaces: NetworkInterfaces) => unknown;
  /** Reads the interfaces. Default: asks the system. */
  readonly read?: () => NetworkInterfaces;
}

/** The machine's network interfaces and their changes. It looks every second: Node is not told of changes by any system. */
export class NetworkWatch {
  readonly #options: NetworkWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #seen = '';

  constructor(options: NetworkWatchOptions) {
    this.#options = options;
  }

  /** Returns the interfaces as they are now. */
  get interfaces(): NetworkInterfaces {
    return (this.#options.read ?? networkInterfaces)();
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#seen = this.#look();
    this.#timer = setInterval(() => this.#compare(), intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): string {
    return JSON.stringify(this.#options.relevant(this.interfaces));
  }

  #compare(): void {
    const seen = this.#look();
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#options.onChange();
  }
}
