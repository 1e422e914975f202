import type { Mesh } from '@skein/mesh';
import {
  asSkeinError,
  maxCardDoubts,
  maxDoubtedPeers,
  maxTakenDoubts,
  packPrompt,
  samplingSchema,
  SkeinError,
  type DeploymentStatus,
} from '@skein/protocol';
import { generate } from '@skein/serving';

import type { Deployments } from '../deployments/index.ts';
import type { Schedule } from '../timers.ts';
import { judge, type CanaryAnswer, type Verdict } from './judge.ts';
import { replicaKind } from './replica-kind.ts';
import type { CanaryReport } from './report.ts';

export interface CanariesComponents {
  readonly mesh: Pick<Mesh, 'open' | 'cards' | 'updateCard'>;
  readonly deployments: Pick<Deployments, 'list' | 'replaceWrong'>;
  readonly schedule: Schedule;
  /** Returns the milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Returns a number from 0 up to 1. */
  readonly random: () => number;
  /** Returns a unique text of letters, digits and dashes. */
  readonly newId: () => string;
  readonly onReport: (report: CanaryReport) => void;
  /** Called with the error of a probe that got no answer, which says nothing about the replica's weights. */
  readonly onError: (error: SkeinError) => void;
}

/** Time between two looks for replicas that are due and idle, in milliseconds, at random within a half of it. */
const lookMs = 30_000;
/** Least time between two probes of the same replica, in milliseconds. */
const probeMs = 600_000;
/** Longest time for an answer to the probe, in milliseconds: one that says nothing, again and again, is no answer. */
const answerMs = 180_000;
/** Longest silences of a replica that is probed: slow ones need some seconds for a token. */
const deadlines = { firstTokenMs: 60_000, gapMs: 30_000 };

/**
 * The probe: the likeliest tokens behind one token. Every layer has a part in that, and one token is read alike whether
 * it lies in a cache or not: some kernels compute rows that come together otherwise than one by one.
 */
const probe = {
  prompt: packPrompt({ type: 'tokens', tokens: [100] }),
  sampling: samplingSchema.parse({ temperature: 0 }),
  stop: [],
  maxTokens: 12,
  speculation: false,
};

/** A replica that was wrong. */
interface WrongReplica {
  readonly model: string;
  readonly name: string;
  readonly peers: readonly string[];
  /** Deployments that were there then: others on its machines show that somebody has seen to those. */
  readonly beside: ReadonlySet<string>;
}

interface Replica {
  readonly deployment: DeploymentStatus;
  readonly lead: string;
}

/**
 * The canaries of a coordinator's replicas: idle ones of the same kind are asked the same question now and then, and have
 * to give the same answer, token by token. One that does not, twice, is out: it gets no more requests, is replaced on
 * other machines, and is told of until its own serve the model again. At most one question is asked at a time.
 */
export class Canaries {
  readonly #components: CanariesComponents;
  readonly #stopped = new AbortController();
  /** First answers, by deployment. */
  readonly #first = new Map<string, string>();
  readonly #verdicts = new Map<string, Verdict>();
  /** Replicas that are out, those that were taken down included, until their machines serve the model again. */
  readonly #wrong = new Map<string, WrongReplica>();
  /** Answers that several replicas agreed on, and the times of the last probes, by kind. */
  readonly #agreed = new Map<string, string>();
  readonly #probedAt = new Map<string, number>();
  #timer: Disposable | undefined;

  constructor(components: CanariesComponents) {
    this.#components = components;
  }

  start(): void {
    const { schedule, random } = this.#components;
    if (this.#stopped.signal.aborted) return;
    this.#timer = schedule(lookMs * (0.5 + random()), () => void this.#lookOnce());
  }

  stop(): void {
    this.#timer?.[Symbol.dispose]();
    this.#stopped.abort(new SkeinError('not-running', 'the coordinator is stopping'));
  }

  /** Tells whether a deployment gave wrong answers. */
  isOut(deployment: string): boolean {
    return this.#wrong.has(deployment);
  }

  /** The deployments that gave wrong answers. */
  out(): readonly string[] {
    return [...this.#wrong.keys()];
  }

  async #lookOnce(): Promise<void> {
    // Its errors are told already; what is left is that it was stopped.
    await this.look().catch(() => undefined);
    this.start();
  }

  /** Probes the replicas that are due, of each kind whose replicas are all idle. */
  async look(): Promise<void> {
    const { deployments, mesh, now } = this.#components;
    const served = deployments.list().filter(({ state }) => state === 'ready');
    this.#forget(served);
    const kinds = Map.groupBy(
      served.filter(({ id }) => !this.isOut(id)),
      (deployment) => replicaKind(deployment, mesh.cards.snapshot()),
    );
    for (const [kind, alike] of kinds) {
      if (kind === undefined) continue;
      const isDue = now() - (this.#probedAt.get(kind) ?? -Infinity) >= probeMs;
      const replicas = alike.flatMap((deployment) =>
        deployment.stages.slice(0, 1).map(({ peer }) => ({ deployment, lead: peer })),
      );
      if (!isDue && alike.every(({ id }) => this.#first.has(id))) continue;
      if (!replicas.every((replica) => this.#isIdle(replica))) continue;
      this.#probedAt.set(kind, now());
      await this.#probe(kind, replicas);
    }
  }

  #isIdle({ deployment, lead }: Replica): boolean {
    const card = this.#components.mesh.cards.snapshot().find(({ peer }) => peer === lead);
    const stage = card?.stages.find((one) => one.deployment === deployment.id && one.stage === 0);
    return stage?.state === 'ready' && stage.active === 0 && stage.queued === 0;
  }

  /** Asks replicas of one kind, and once more where their answers differ: what does not come twice is no reason. */
  async #probe(kind: string, replicas: readonly Replica[]): Promise<void> {
    const first = await this.#round(kind, replicas);
    const areSound = first.values().every((verdict) => verdict === 'sound');
    const second = areSound ? first : await this.#round(kind, replicas);
    for (const { deployment } of replicas) {
      const verdicts = [first.get(deployment.id), second.get(deployment.id)];
      // One that did not answer keeps its standing.
      if (verdicts.includes(undefined)) continue;
      const isOut = verdicts.every((verdict) => verdict === 'out');
      const isSound = verdicts.includes('sound');
      this.#report({ deployment, verdict: isOut ? 'out' : isSound ? 'sound' : 'doubted' });
    }
  }

  async #round(kind: string, replicas: readonly Replica[]): Promise<ReadonlyMap<string, Verdict>> {
    const answers: CanaryAnswer[] = [];
    for (const replica of replicas) {
      const { id } = replica.deployment;
      const tokens = await this.#ask(replica);
      if (tokens !== undefined) answers.push({ deployment: id, tokens, earlier: this.#first.get(id) });
    }
    const verdicts = judge(answers, this.#agreed.get(kind));
    const sound = answers.filter(({ deployment }) => verdicts.get(deployment) === 'sound');
    const [one, other] = sound;
    if (one !== undefined && other !== undefined) this.#agreed.set(kind, one.tokens);
    for (const { deployment, tokens, earlier } of answers) {
      if (earlier === undefined || verdicts.get(deployment) === 'sound') this.#first.set(deployment, tokens);
    }
    return verdicts;
  }

  /** Returns the ids of a replica's answer; undefined when it fails, which is not for canaries to judge. */
  async #ask({ deployment, lead }: Replica): Promise<string | undefined> {
    const { mesh, newId, onError, schedule } = this.#components;
    const late = new AbortController();
    using _late = schedule(answerMs, () =>
      late.abort(new SkeinError('deadline-exceeded', 'a replica did not come to the end of its answer to a canary')),
    );
    const signal = AbortSignal.any([this.#stopped.signal, late.signal]);
    const options = { id: `canary-${newId()}`, signal, deadlines };
    const tokens: number[] = [];
    try {
      for await (const update of generate(mesh, lead, { deployment: deployment.id, ...probe }, options)) {
        if (update.type === 'text-delta') tokens.push(...update.tokens);
        // More than it was asked for is wrong, however much is to come.
        if (tokens.length > probe.maxTokens) break;
      }
    } catch (error) {
      this.#stopped.signal.throwIfAborted();
      onError(asSkeinError(late.signal.aborted ? late.signal.reason : error));
      return undefined;
    }
    return tokens.join(' ');
  }

  #report(report: CanaryReport): void {
    const { deployment, verdict } = report;
    const { id } = deployment;
    const before = this.#verdicts.get(id) ?? 'sound';
    this.#verdicts.set(id, verdict);
    if (before === verdict) return;
    if (verdict === 'out') this.#takeOut(deployment);
    this.#show();
    this.#components.onReport(report);
  }

  #takeOut({ id, model, name, stages }: DeploymentStatus): void {
    const { deployments } = this.#components;
    const beside = new Set(deployments.list().map((one) => one.id));
    this.#wrong.set(id, { model, name, peers: stages.map(({ peer }) => peer), beside });
    // Weights that were wrong elsewhere before are no better now.
    const alike = [...this.#wrong.values()].filter((wrong) => wrong.model === model);
    deployments.replaceWrong(id, { avoid: [...new Set(alike.flatMap(({ peers }) => peers))] });
  }

  /** Forgets deployments that are gone, so that the maps do not grow. */
  #forget(served: readonly DeploymentStatus[]): void {
    const ids = new Set(served.map(({ id }) => id));
    const gone = [...this.#verdicts.keys()].filter((id) => !ids.has(id));
    let hadDoubts = gone.some((id) => this.#verdicts.get(id) !== 'sound');
    for (const id of gone) this.#verdicts.delete(id);
    for (const id of this.#first.keys()) if (!ids.has(id)) this.#first.delete(id);
    for (const [id, { model, peers, beside }] of this.#wrong) {
      const isSeenTo = served.some(
        (one) => !beside.has(one.id) && one.model === model && one.stages.some(({ peer }) => peers.includes(peer)),
      );
      if (!isSeenTo && this.#wrong.size <= maxTakenDoubts) continue;
      this.#wrong.delete(id);
      hadDoubts = true;
    }
    if (hadDoubts) this.#show();
  }

  /** Shows all members the replicas that are out or doubted. */
  #show(): void {
    const out = [...this.#wrong].map(([deployment, { name, peers }]) => ({
      deployment,
      isOut: true,
      taken: { name, peers: peers.slice(0, maxDoubtedPeers) },
    }));
    const doubted = [...this.#verdicts]
      .filter(([, verdict]) => verdict === 'doubted')
      .map(([deployment]) => ({ deployment, isOut: false }));
    this.#components.mesh.updateCard({ doubts: [...out.slice(-maxTakenDoubts), ...doubted].slice(0, maxCardDoubts) });
  }
}
