import { throwIfAborted, type Mesh } from '@skein/mesh';
import { asSkeinError, SkeinError, type GenerationInput } from '@skein/protocol';

import type { Attempt } from '../routing/replicas.ts';
import { routeKey, type Route } from '../routing/route.ts';
import { AnswerTimes, type Interruptions } from './answer-times.ts';
import { EnginesAtRisk } from './engines-at-risk.ts';
import { costAnEngine, errorAfter, errorAfterPart, errorBeforePart } from './failover.ts';
import { generate, type GenerateOptions, type GenerationUpdate } from './generate.ts';
import { readAlong } from './read-along.ts';
import { ReadingAlong } from './reading-along.ts';
import { Successor } from './successor.ts';
import { Transcript } from './transcript.ts';

/** A replica that failed a request, with its error. */
export interface FailedAttempt extends Route {
  readonly error: SkeinError;
  /** Whether it had added tokens to the answer. */
  readonly hasAdded: boolean;
}

/** A source of replicas for a run. */
export interface ReplicaSource {
  /**
   * Takes a replica for the next attempt. `failed` lists the failed attempts in their order. An error thrown here ends
   * the run. `prefer` is a replica that has read the answer along, if there is one.
   */
  take(failed: readonly FailedAttempt[], prefer?: Route): Attempt | Promise<Attempt>;
  /**
   * Returns the replica on other machines that stands by for the one that has the answer, or has nothing else to do;
   * undefined where there is none. That is `last`, the one before, as long as it may be.
   */
  follower(current: Route, last?: Route): Route | undefined;
  /** Called with the replica each time before it is sent prompt and answer to read along. Default: nobody wants to know. */
  readsAlong?(route: Route): void;
}

export interface GenerationRunOptions extends Omit<GenerateOptions, 'onLeaving'> {
  /** With `resume`, the run continues an answer of which that much was passed on, whoever did that. */
  readonly request: GenerationInput;
  readonly replicas: ReplicaSource;
  /** Shared by the runs of one request. Default: the run has its own. */
  readonly engines?: EnginesAtRisk | undefined;
}

/** Least time between two looks for a follower, in milliseconds; and after one that does not read along. */
const lookMs = 300;
const lookAgainMs = 15_000;

const now = (): number => performance.now();

/** Tokens by which an answer grows past the place where an engine died until the request is no longer suspected of it. */
const acquittedAfter = 16;

/**
 * One generation, with the only loop that tries it again. A replica that fails is followed by another one, which goes on
 * at the very token: readers get each token once, and nothing tells them of the change but the time that it took and
 * the usage at the end. Each attempt has deadlines of its own.
 *
 * While it goes on, its follower reads along, so that little is left to read should its replica be lost. A lead that is
 * to hand the answer over generates on until another replica has read it along, so that the change takes the reading of a
 * few tokens; where that does not come about in time, the lead ends the answer, which goes on elsewhere.
 *
 * Iterate it once; nothing is sent before. Each attempt may yield that it has begun. The iteration throws the errors of
 * the source, and those of {@link generate} that are no reason to try another replica; once text has come, they say how
 * much.
 */
export class GenerationRun implements AsyncIterable<GenerationUpdate> {
  /** Id of the request. */
  readonly id: string;
  readonly #mesh: Pick<Mesh, 'open'>;
  readonly #options: GenerationRunOptions;
  readonly #engines: EnginesAtRisk;
  readonly #askedAt: number;
  readonly #begun = Promise.withResolvers<Route>();
  readonly #transcript: Transcript;
  #route: Route | undefined;
  /** The replica to which the answer moves, since its lead leaves. */
  #successor: Successor | undefined;
  /** The replica that reads along, in case the one that has the answer is lost. */
  #follower: ReadingAlong | undefined;
  #nextLookMs = 0;
  #times: AnswerTimes | undefined;
  /** Number of tokens that there were when an engine died over them; undefined once the answer has grown past it. */
  #diedAt: number | undefined;

  constructor(mesh: Pick<Mesh, 'open'>, options: GenerationRunOptions) {
    this.id = options.id ?? crypto.randomUUID();
    this.#mesh = mesh;
    this.#askedAt = options.request.askedAt ?? Date.now();
    this.#options = { ...options, request: { ...options.request, askedAt: this.#askedAt, mayHandOver: true } };
    this.#transcript = new Transcript(options.request.maxTokens, options.request.resume);
    this.#engines = options.engines ?? new EnginesAtRisk();
    // Iterating throws the failure; unhandled here, it would end the process.
    this.#begun.promise.catch(() => undefined);
  }

  /** The replica that has the request, or had it last. Undefined before the first attempt. */
  get route(): Route | undefined {
    return this.#route;
  }

  /** The updates yielded so far, and those of the run that this one continues. */
  get transcript(): Pick<Transcript, 'isEmpty' | 'tokens' | 'continuation'> {
    return this.#transcript;
  }

  /** The interruptions of this run so far; not those of the run that it continues. */
  get interruptions(): Interruptions {
    return this.#times?.interruptions ?? { failovers: 0, pauseMs: 0 };
  }

  /** Resolves when a first replica has begun. Rejects when the run ends before. */
  get begun(): Promise<Route> {
    return this.#begun.promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationUpdate, void, undefined> {
    try {
      yield* this.#attempts();
    } catch (error) {
      this.#begun.reject(error);
      throw error;
    } finally {
      this.#successor?.[Symbol.dispose]();
      this.#follower?.[Symbol.dispose]();
      this.#begun.reject(new SkeinError('aborted', 'the reader left before a replica had begun'));
    }
  }

  async *#attempts(): AsyncGenerator<GenerationUpdate, void, undefined> {
    const times = (this.#times = new AnswerTimes(now));
    /** Those that failed since the answer last grew, and before them those that cost an engine. */
    let failed: FailedAttempt[] = [];
    for (;;) {
      using attempt = await this.#next(failed);
      const { deployment, lead } = attempt;
      using entered = this.#engines.enter(deployment);
      if (entered === undefined) throw this.#ending(failed.at(-1)?.error ?? tooRisky(), failed);
      this.#route = { deployment, lead };
      const before = this.#transcript.tokens;
      let hasBegun = false;
      try {
        for await (const event of this.#ask(this.#route, failed)) {
          if (!hasBegun) this.#begun.resolve(this.#route);
          hasBegun = true;
          attempt.observe(event);
          this.#add(event);
          if (event.type !== 'generation-begin') times.came();
          yield event.type === 'generation-end' ? times.complete(event) : event;
          if (event.type !== 'text-delta') continue;
          if (this.#successor?.isReady() === true) throw left();
          if (this.#successor === undefined) this.#follow(this.#route);
        }
        return;
      } catch (thrown) {
        throwIfAborted(this.#options.signal);
        const error = asSkeinError(thrown);
        const { isEmpty, tokens, continuation } = this.#transcript;
        const failure = { error, hasBegun, isResumed: before > 0, canResume: isEmpty || continuation !== undefined };
        if (costAnEngine(failure)) this.#lostEngine(deployment);
        const final = errorAfter(failure, this.#engines.areSpent);
        if (final !== undefined) throw this.#ending(final, []);
        const hasAdded = tokens > before;
        if (hasAdded) failed = failed.filter((one) => this.#engines.dead.has(one.deployment));
        failed.push({ deployment, lead, error, hasAdded });
        if (!isEmpty) times.pause();
      }
    }
  }

  /** Takes the replica to which the answer moves, if there is one that can have it; else any. */
  async #next(failed: readonly FailedAttempt[]): Promise<Attempt> {
    const [successor, follower] = [this.#successor, this.#follower];
    [this.#successor, this.#follower] = [undefined, undefined];
    follower?.[Symbol.dispose]();
    const attempt = await successor?.take();
    if (attempt === undefined) return await this.#take(failed, follower?.route);
    if (!this.#engines.dead.has(attempt.deployment)) return attempt;
    attempt[Symbol.dispose]();
    return await this.#take(failed, follower?.route);
  }

  async #take(failed: readonly FailedAttempt[], prefer?: Route): Promise<Attempt> {
    const { replicas, signal } = this.#options;
    try {
      return await replicas.take(failed, prefer);
    } catch (error) {
      throwIfAborted(signal);
      throw this.#ending(error, failed);
    }
  }

  /** Asks a replica for the answer, or for the rest of it. */
  #ask({ deployment, lead }: Route, failed: readonly FailedAttempt[]): AsyncIterable<GenerationUpdate> {
    const { request, signal, deadlines } = this.#options;
    const { isEmpty, continuation } = this.#transcript;
    const asked = { deployment, ...request, ...(isEmpty ? {} : continuation) };
    const onLeaving = (): void => this.#prepareToMove({ deployment, lead }, failed);
    return generate(this.#mesh, lead, asked, { id: this.id, signal, deadlines, onLeaving });
  }

  /** Looks for a replica to move to from a lead that leaves, and has it read along. */
  #prepareToMove(from: Route, failed: readonly FailedAttempt[]): void {
    if (this.#successor !== undefined || this.#engines.areSpent) return;
    const leaving = { ...from, error: left(), hasAdded: !this.#transcript.isEmpty };
    const prefer = this.#follower?.route;
    this.#follower?.[Symbol.dispose]();
    this.#follower = undefined;
    const taken = Promise.try(async () => await this.#options.replicas.take([...failed, leaving], prefer));
    this.#successor = new Successor(taken, { readAt: (route) => this.#readAt(route, { moves: true }), now });
  }

  /** Has a replica read along where it is time to. */
  #follow(current: Route): void {
    const nowMs = now();
    if (this.#follower?.isOver === true) {
      this.#follower = undefined;
      this.#nextLookMs = nowMs + lookAgainMs;
    }
    const follower = this.#follower;
    if (nowMs < this.#nextLookMs || follower?.isDue === false || this.#engines.areSpent) return;
    this.#nextLookMs = nowMs + lookMs;
    const route = this.#options.replicas.follower(current, follower?.route);
    if (follower === undefined || route === undefined || routeKey(follower.route) !== routeKey(route)) {
      follower?.[Symbol.dispose]();
      this.#follower = route && this.#readAt(route, { moves: false });
    }
    if (this.#follower?.isDue === true) this.#follower.readOn();
  }

  /**
   * Makes the reading of the answer at another replica.
   *
   * @param options.moves whether the answer is about to go on there
   */
  #readAt({ deployment, lead }: Route, { moves }: { readonly moves: boolean }): ReadingAlong {
    const { request, replicas } = this.#options;
    const { prompt } = request;
    const route = { deployment, lead };
    return new ReadingAlong({
      route,
      transcript: this.#transcript,
      now,
      read: async (options) => {
        const resume = this.#transcript.continuation?.resume;
        if (resume === undefined) throw new SkeinError('internal', 'nothing is read of an answer that has not begun');
        const { promptHash, tokens } = resume;
        const reading = { prompt, askedAt: this.#askedAt, promptHash, tokens, ...(moves && { moves }) };
        replicas.readsAlong?.(route);
        try {
          await readAlong(this.#mesh, route, reading, { id: this.id, ...options });
        } catch (thrown) {
          const error = asSkeinError(thrown);
          // A request that makes engines crash must not have one after the other read it.
          if (costAnEngine({ error, hasBegun: false })) this.#lostEngine(deployment);
          throw error;
        }
      },
    });
  }

  #add(event: GenerationUpdate): void {
    this.#transcript.add(event);
    if (this.#diedAt === undefined || this.#transcript.tokens < this.#diedAt + acquittedAfter) return;
    this.#diedAt = undefined;
    this.#engines.acquit(this);
  }

  #lostEngine(deployment: string): void {
    this.#diedAt = this.#transcript.tokens;
    this.#engines.died(deployment, this);
  }

  /** Returns the error that ends the run: with what was delivered, where something was. */
  #ending(error: unknown, failed: readonly FailedAttempt[]): unknown {
    if (this.#transcript.isEmpty) return errorBeforePart(error);
    const lost = failed.findLast(({ deployment, hasAdded }) => hasAdded || this.#engines.dead.has(deployment))?.error;
    return errorAfterPart(asSkeinError(error), { lost, tokens: this.#transcript.tokens });
  }
}

/** Makes the error of an attempt that the run itself has ended, since its lead leaves. */
function left(): SkeinError {
  return new SkeinError('handed-over', 'the deployment is moved while it answers');
}

function tooRisky(): SkeinError {
  return new SkeinError('stage-lost', 'an engine died over this request, and one other has it now; ask again');
}
