import type { AdmissionStatus } from '@skein/protocol';

import type { AdmissionRequest, ModelQueueOptions } from './model-queue.ts';
import { ModelAdmission, type ModelAdmissionComponents, type Permit } from './model-admission.ts';

export interface AdmissionComponents extends ModelAdmissionComponents {
  /** Called with the SHA-256 of a model when somebody asks for it. Default: nobody is told. */
  readonly onEnter?: ((model: string) => void) | undefined;
}

/**
 * The admission of all requests: each waits in the queue of its model until a replica has a place for it, and keeps that
 * to its end, wherever the answer moves meanwhile.
 */
export class Admission {
  readonly #components: AdmissionComponents;
  readonly #options: ModelQueueOptions;
  readonly #models = new Map<string, ModelAdmission>();

  constructor(components: AdmissionComponents, options: ModelQueueOptions = {}) {
    this.#components = components;
    this.#options = options;
  }

  /**
   * Queues a request.
   *
   * @param model SHA-256 of the model
   * @param signal ends the wait when it aborts
   * @throws SkeinError `overloaded`, with the time after which to come again, when the request would wait for too long or
   * behind too many
   */
  enter(model: string, request: AdmissionRequest, signal: AbortSignal): Permit {
    this.#components.onEnter?.(model);
    let admission = this.#models.get(model);
    if (admission === undefined) {
      const onIdle = () => void this.#models.delete(model);
      admission = new ModelAdmission({ ...this.#components, onIdle }, { model, ...this.#options });
      this.#models.set(model, admission);
    }
    return admission.enter(request, signal);
  }

  /** Admits those who wait for replicas that have become ready: call it when replicas have changed. */
  refresh(): void {
    for (const admission of this.#models.values()) admission.refresh();
  }

  /** Lists the models that are asked for. */
  status(): readonly AdmissionStatus[] {
    return Array.from(this.#models, ([model, admission]) => ({ model, ...admission.status() }));
  }
}
