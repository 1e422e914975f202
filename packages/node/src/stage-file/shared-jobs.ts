import { asWarning } from '@skein/mesh';
import { isolated, onAbort } from '@skein/protocol';

/** The tools of a job: a signal that fires when nobody waits any more, and a way to report progress to all who wait. */
export interface JobContext<Progress> {
  readonly signal: AbortSignal;
  report(progress: Progress): void;
}

interface Waiter<Progress> {
  readonly signal?: AbortSignal | undefined;
  /** Receives progress. An error in it is shown as a warning: it fails neither the job nor the other callers. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

interface Job<Progress, Result> {
  readonly controller: AbortController;
  readonly waiters: Set<Waiter<Progress>>;
  readonly result: Promise<Result>;
}

/**
 * Jobs by key, each run once however many callers ask for it at the same time. A caller that gives up leaves the others
 * undisturbed; when the last one gives up the job is aborted.
 */
export class SharedJobs<Progress, Result> {
  readonly #jobs = new Map<string, Job<Progress, Result>>();

  /** Joins the job of a key, or starts it. Rejects with the signal's reason as soon as the caller gives up. */
  async run(
    key: string,
    waiter: Waiter<Progress>,
    start: (context: JobContext<Progress>) => Promise<Result>,
  ): Promise<Result> {
    waiter.signal?.throwIfAborted();
    const job = this.#jobs.get(key) ?? this.#start(key, start);
    job.waiters.add(waiter);
    const gaveUp = Promise.withResolvers<never>();
    const giveUp = () => {
      job.waiters.delete(waiter);
      // The key is free at once: who comes now starts afresh instead of joining a job that is being aborted.
      if (job.waiters.size === 0) this.#abandon(key, job, waiter.signal?.reason);
      gaveUp.reject(waiter.signal?.reason);
    };
    using _abort = onAbort(waiter.signal, giveUp);
    try {
      return await Promise.race([job.result, gaveUp.promise]);
    } finally {
      job.waiters.delete(waiter);
    }
  }

  #start(key: string, start: (context: JobContext<Progress>) => Promise<Result>): Job<Progress, Result> {
    const controller = new AbortController();
    const waiters = new Set<Waiter<Progress>>();
    const report = (progress: Progress) => {
      for (const { onProgress = () => undefined } of waiters) isolated(onProgress, asWarning)(progress);
    };
    const result = start({ signal: controller.signal, report }).finally(() => {
      if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    });
    // When everyone has given up nobody is left to see it fail.
    result.catch(() => {});
    const job: Job<Progress, Result> = { controller, waiters, result };
    this.#jobs.set(key, job);
    return job;
  }

  #abandon(key: string, job: Job<Progress, Result>, reason: unknown): void {
    if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    job.controller.abort(reason);
  }
}
