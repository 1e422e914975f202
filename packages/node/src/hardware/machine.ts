import type { Hardware, Logger } from '@skein/protocol';

import { describeHardware, measureGpus, type DetectedHardware } from './detect.ts';
import { measureMainMemory } from './main-memory.ts';

/** Pause between two looks at the memory of GPUs, in milliseconds. A look takes a process. */
const gpuIntervalMs = 60_000;

/** This machine's hardware with its memory as it is. Owns what is known of the GPUs' free memory. */
export class Machine implements Disposable {
  readonly #logger: Logger;
  #detected: DetectedHardware;
  #measuring: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(detected: DetectedHardware, logger: Logger) {
    this.#detected = detected;
    this.#logger = logger;
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

  async #measure(): Promise<void> {
    try {
      this.#detected = await measureGpus(this.#detected);
    } catch (error) {
      this.#logger.warn({ error }, 'the memory of the GPUs can not be measured');
    }
  }
}
