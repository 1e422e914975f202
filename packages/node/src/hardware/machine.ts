import type { Hardware, Logger } from '@skein/protocol';

import { describeHardware, measureGpus, type DetectedHardware } from './detect.ts';
import { measureMainMemory } from './main-memory.ts';

/** Pause between two looks at the memory of GPUs, in milliseconds. A look takes a process. */
const gpuIntervalMs = 60_000;
/** Age up to which what is known of their memory is not looked at again for a plan, in milliseconds. */
const freshForMs = 2000;

export interface MachineOptions {
  /** Looks at the GPUs. Default: {@link measureGpus}. */
  readonly measureGpus?: typeof measureGpus;
  /** Returns the milliseconds of a monotonic clock. Default: `performance.now`. */
  readonly now?: () => number;
}

/** This machine's hardware with its memory as it is. Owns what is known of the GPUs' free memory. */
export class Machine implements Disposable {
  readonly #logger: Logger;
  readonly #measureGpus: typeof measureGpus;
  readonly #now: () => number;
  #detected: DetectedHardware;
  #measuredAtMs: number;
  #measuring: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param detected the hardware as it is just now */
  constructor(detected: DetectedHardware, logger: Logger, options: MachineOptions = {}) {
    this.#detected = detected;
    this.#logger = logger;
    this.#measureGpus = options.measureGpus ?? measureGpus;
    this.#now = options.now ?? (() => performance.now());
    this.#measuredAtMs = this.#now();
  }

  /** The hardware as it was last looked at. */
  get detected(): DetectedHardware {
    return this.#detected;
  }

  /** Looks at the memory of GPUs every minute from now on. */
  start(): void {
    this.#timer = setInterval(() => void this.measure(), gpuIntervalMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Describes the machine for its card: main memory as it is now, that of GPUs as it was last measured. */
  describe(): Hardware {
    return describeHardware(this.#detected, measureMainMemory());
  }

  /** Measures all memory. Never rejects: where GPUs can't be looked at, what is known of them stays. */
  async measure(): Promise<Hardware> {
    this.#measuring ??= this.#measure().finally(() => (this.#measuring = undefined));
    await this.#measuring;
    return this.describe();
  }

  /** As {@link measure}, but takes what was measured within the last two seconds: others may ask as often as they like. */
  async measureUnlessFresh(): Promise<Hardware> {
    return this.#now() - this.#measuredAtMs < freshForMs ? this.describe() : await this.measure();
  }

  async #measure(): Promise<void> {
    try {
      this.#detected = await this.#measureGpus(this.#detected);
      this.#measuredAtMs = this.#now();
    } catch (error) {
      this.#logger.warn({ error }, 'the memory of the GPUs can not be measured');
    }
  }
}
