import { throwIfAborted, type Mesh } from '@skein/mesh';
import { asSkeinError, SkeinError, type GenerationInput } from '@skein/protocol';

import type { Route } from '../routing/least-loaded-lead.ts';
import type { Attempt } from '../routing/replicas.ts';
import { EnginesAtRisk } from './engines-at-risk.ts';
import { costAnEngine, errorAfter } from './failover.ts';
import { Transcript } from './transcript.ts';
import { generate, type GenerateOptions, type GenerationUpdate } from './generate.ts';

/** A replica that failed a request, with its error. */
export interface FailedAttempt extends Route {
  readonly error: SkeinError;
}

/** A source of replicas for a run. */
export interface ReplicaSource {
  /**
   * Takes a replica for the next attempt. `failed` lists the failed attempts in their order. An error thrown here ends
   * the run.
   */
  take(failed: readonly FailedAttempt[]): Attempt | Promise<Attempt>;
}

export interface GenerationRunOptions extends GenerateOptions {
  readonly request: GenerationInput;
  readonly replicas: ReplicaSource;
  /** Shared by the runs of one request. Default: the run has its own. */
  readonly engines?: EnginesAtRisk | undefined;
}

/**
 * One generation, with the only loop that tries it again. A replica that fails before its first piece of text is
 * followed by another one; from then on the run is tied to its replica. Each attempt has deadlines of its own.
 *
 * Iterate it once; nothing is sent before. Each attempt may yield that it has begun; text comes from the last one. The
 * iteration throws the errors of the source, and those of {@link generate} that are no reason to try another replica.
 */
export class GenerationRun implements AsyncIterable<GenerationUpdate> {
  /** Id of the request. */
  readonly id: string;
  readonly #mesh: Pick<Mesh, 'open'>;
  readonly #options: GenerationRunOptions;
  readonly #engines: EnginesAtRisk;
  readonly #begun = Promise.withResolvers<Route>();
  readonly #transcript = new Transcript();
  #route: Route | undefined;

  constructor(mesh: Pick<Mesh, 'open'>, options: GenerationRunOptions) {
    this.id = options.id ?? crypto.randomUUID();
    this.#mesh = mesh;
    this.#options = { ...options, request: { askedAt: Date.now(), ...options.request } };
    this.#engines = options.engines ?? new EnginesAtRisk();
    // Iterating throws the failure; unhandled here, it would end the process.
    this.#begun.promise.catch(() => undefined);
  }

  /** The replica that has the request, or had it last. Undefined before the first attempt. */
  get route(): Route | undefined {
    return this.#route;
  }

  /** The updates yielded so far. */
  get transcript(): Pick<Transcript, 'isEmpty' | 'continuation'> {
    return this.#transcript;
  }

  /** Resolves when a first replica has begun. Rejects when the run ends before. */
  get begun(): Promise<Route> {
    return this.#begun.promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationUpdate, void, undefined> {
    const { request, replicas, signal, deadlines } = this.#options;
    const options = { id: this.id, signal, deadlines };
    const failed: FailedAttempt[] = [];
    try {
      for (;;) {
        using attempt = await replicas.take(failed);
        const { deployment, lead } = attempt;
        using entered = this.#engines.enter(deployment);
        if (entered === undefined) throw failed.at(-1)?.error ?? tooRisky();
        this.#route = { deployment, lead };
        let hasBegun = false;
        try {
          for await (const event of generate(this.#mesh, lead, { deployment, ...request }, options)) {
            if (!hasBegun) this.#begun.resolve(this.#route);
            hasBegun = true;
            this.#transcript.add(event);
            yield event;
          }
          return;
        } catch (thrown) {
          throwIfAborted(signal);
          const failure = { error: asSkeinError(thrown), hasBegun, hasText: !this.#transcript.isEmpty };
          if (costAnEngine(failure)) this.#engines.died(deployment);
          const final = errorAfter(failure, this.#engines.areSpent);
          if (final !== undefined) throw final;
          failed.push({ deployment, lead, error: failure.error });
        }
      }
    } catch (error) {
      this.#begun.reject(error);
      throw error;
    } finally {
      this.#begun.reject(new SkeinError('aborted', 'the reader left before a replica had begun'));
    }
  }
}

function tooRisky(): SkeinError {
  return new SkeinError('stage-lost', 'an engine died over this request, and one other has it now; ask again');
}
