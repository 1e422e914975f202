import { networkInterfaces } from 'node:os';

import type { NetworkInterfaces } from './interfaces.ts';

const intervalMs = 1000;

/** The machine's network interfaces and their changes. It looks every second: Node is not told of changes by any system. */
export class NetworkWatch {
  readonly #read: () => NetworkInterfaces;
  readonly #onChange: () => void;
  #timer: NodeJS.Timeout | undefined;
  #seen = '';

  /** @param onChange called after each change of an interface or of an address */
  constructor(onChange: () => void, read: () => NetworkInterfaces = networkInterfaces) {
    this.#onChange = onChange;
    this.#read = read;
  }

  /** Returns the interfaces as they are now. */
  get interfaces(): NetworkInterfaces {
    return this.#read();
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#seen = JSON.stringify(this.#read());
    this.#timer = setInterval(() => this.#look(), intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const seen = JSON.stringify(this.#read());
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#onChange();
  }
}
