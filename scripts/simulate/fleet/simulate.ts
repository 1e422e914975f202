import { seeded } from '../random.ts';
import type { Router, RouterKind } from '../routers/router.ts';
import type { Trace, TracedRequest } from '../traces/request.ts';
import { Engine, type EngineSpec, type Job } from './engine.ts';
import { EventQueue } from './event-queue.ts';

/** Time from a router to a replica, one way, in milliseconds. */
const linkMs = 1;
/** Time for which changes of a replica's load are gathered into one card, as members do it. */
const cardMs = 50;
/** Time for which changes of what its cache holds are gathered into one message. */
const digestsMs = 100;

export interface SimulationOptions {
  readonly trace: Trace;
  readonly replicas: readonly EngineSpec[];
  readonly router: RouterKind;
  /** Routers beside each other, each with its own share of the requests. Default 1. */
  readonly routers?: number | undefined;
  /** Share of the fleet's capacity that the requests take: see {@link capacityMs}. */
  readonly load: number;
  /** The fleet of which `load` is a share. Default: the replicas. */
  readonly capacityOf?: readonly EngineSpec[] | undefined;
  readonly seed: number;
}

/** The outcome for one request. */
export interface SimulatedRequest {
  readonly request: TracedRequest;
  readonly replica: number;
  readonly ttftMs: number;
  readonly cachedTokens: number;
}

/** Runs all requests of a trace through routers and a fleet. Returns them in the order of their first tokens. */
export function simulate(options: SimulationOptions): readonly SimulatedRequest[] {
  const { trace, replicas, load, seed, routers: count = 1 } = options;
  const queue = new EventQueue();
  const outcomes: SimulatedRequest[] = [];
  const askedAt = new Map<TracedRequest, { readonly router: Router; readonly atMs: number }>();
  const random = seeded(seed);
  const nowMs = (): number => queue.nowMs;
  const after = (delayMs: number, callback: () => void): void => queue.after(delayMs, callback);
  const routers = Array.from({ length: count }, () =>
    options.router.create({ replicas, blockTokens: trace.blockTokens, random, nowMs, after }),
  );
  const told = (job: Job, tell: (router: Router, request: TracedRequest) => void): void => {
    const asked = askedAt.get(job.request);
    if (asked !== undefined) queue.after(linkMs, () => tell(asked.router, job.request));
  };
  const engines = replicas.map((spec, replica) => {
    const card = gathered(queue, cardMs, () => {
      const { active, queued, waitingTokens, sequenceMs } = engine;
      const state = { active, queued, waitingTokens, sequenceMs };
      queue.after(linkMs, () => routers.forEach((router) => router.onCard?.(replica, state)));
    });
    let changes = { added: new Set<number>(), removed: new Set<number>() };
    const digests = gathered(queue, digestsMs, () => {
      const { added, removed } = changes;
      changes = { added: new Set(), removed: new Set() };
      const lists = [[...added], [...removed]] as const;
      queue.after(linkMs, () => routers.forEach((router) => router.onBlocks?.(replica, ...lists)));
    });
    const engine = new Engine(spec, {
      queue,
      blockTokens: trace.blockTokens,
      events: {
        onFirstToken(job) {
          const { request, cachedTokens } = job;
          const ttftMs = queue.nowMs + linkMs - (askedAt.get(request)?.atMs ?? 0);
          outcomes.push({ request, replica, ttftMs, cachedTokens });
          told(job, (router) => router.onFirstToken?.(request, replica));
        },
        onEnd: (job) => told(job, (router, request) => router.onEnd?.(request, replica)),
        onLoad: card,
        onBlocks(added, removed) {
          for (const block of added) if (!changes.removed.delete(block)) changes.added.add(block);
          for (const block of removed) if (!changes.added.delete(block)) changes.removed.add(block);
          digests();
        },
      },
    });
    return engine;
  });
  const stretch = stretchFor(trace, options.capacityOf ?? replicas, load);
  for (const [nth, traced] of trace.requests.entries()) {
    // Each an object of its own, since routers keep them apart by that.
    const request = { ...traced };
    queue.at(request.atMs * stretch, () => {
      const router = routers[nth % count];
      if (router === undefined) return;
      askedAt.set(request, { router, atMs: queue.nowMs });
      const begin = (): void => {
        const replica = router.choose(request);
        queue.after(linkMs, () => {
          engines[replica]?.add(request);
          queue.after(linkMs, () => router.onBegin?.(request, replica));
        });
      };
      if (router.admit === undefined) begin();
      else router.admit(request, begin);
    });
  }
  queue.run();
  return outcomes;
}

/**
 * Returns the time that a replica needs for a request of a trace in the mean, without anything in its cache: reading its
 * prompt, and its share of the steps that it decodes in with all places taken.
 */
function capacityMs({ requests }: Trace, { msPerToken, stepMs, sequences }: EngineSpec): number {
  const all = requests.reduce((sum, { tokens, outputTokens }) => {
    return sum + tokens * msPerToken + outputTokens * (stepMs / sequences + msPerToken);
  }, 0);
  return all / requests.length;
}

/** Returns the factor by which a trace's times are stretched to load a fleet to a share of its capacity. */
function stretchFor(trace: Trace, replicas: readonly EngineSpec[], load: number): number {
  const { requests } = trace;
  const perMs = replicas.reduce((sum, spec) => sum + 1 / capacityMs(trace, spec), 0);
  const lastMs = requests.at(-1)?.atMs ?? 0;
  return requests.length / (perMs * load) / Math.max(1, lastMs);
}

/** Returns a function that has `action` run once, `delayMs` after the first of its calls since the last run. */
function gathered(queue: EventQueue, delayMs: number, action: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    queue.after(delayMs, () => {
      isDue = false;
      action();
    });
  };
}
