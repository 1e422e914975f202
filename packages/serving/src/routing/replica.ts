import type { Card, HeldStage, Labels } from '@skein/protocol';

import { routeKey, type Route } from './route.ts';

/** A stage of a replica on its peer. */
export interface ReplicaStage {
  readonly card: Card;
  readonly stage: HeldStage;
}

/** Speed of a whole pipeline, as its peers have measured it. */
export interface ReplicaSpeed {
  /** Time for each further token of a long prompt: that of the slowest stage, since chunks follow one another. */
  readonly msPerToken: number;
  /** Time for each token of a chunk on the other stages: a prompt's last chunk has to pass them, too. */
  readonly passMsPerToken: number;
  /** Time on the links of the ring, once round. */
  readonly ringMs: number;
}

/** A replica as the cards describe it. */
export interface Replica extends Route {
  /** Its {@link routeKey}. */
  readonly key: string;
  readonly model: string;
  /** Number of its ring: another one once a lost stage was replaced. Undefined for one stage alone. */
  readonly ring: number | undefined;
  /** The stages that cards show, the lead first. */
  readonly stages: readonly ReplicaStage[];
  /** Whether cards show all stages: labels of the machines are known then. */
  readonly isWhole: boolean;
  /** Whether it is a standby, which takes requests where no other replica of the model may. */
  readonly isStandby: boolean;
  /** Requests that it generates for at once. */
  readonly sequences: number;
  readonly active: number;
  readonly queued: number;
  /** Prompt tokens that it has taken and not read yet. Undefined where the lead does not say. */
  readonly waitingTokens: number | undefined;
  /** Mean time for which a request holds its place, in milliseconds. Undefined where the lead does not say. */
  readonly sequenceMs: number | undefined;
  /** Undefined where a stage's speed is unknown. */
  readonly speed: ReplicaSpeed | undefined;
  /** Time from this member to the lead and back, in milliseconds; 0 where nobody has measured it. */
  readonly roundTripMs: number;
}

/**
 * Makes the replicas of one deployment: one for each member that claims to lead it, since others must not be able to hide
 * the true one.
 *
 * @param held the stages that cards show of it
 * @param own card of this member, from which requests are sent
 */
export function replicasOf(held: readonly ReplicaStage[], own: Card | undefined): readonly Replica[] {
  const isLead = ({ stage }: ReplicaStage): boolean => stage.stage === 0;
  const others = held.filter((one) => !isLead(one)).sort((one, other) => one.stage.stage - other.stage.stage);
  const leads = held.filter((one) => isLead(one) && one.stage.state === 'ready');
  return leads.map((lead) => replicaOf(lead, others, own));
}

function replicaOf(lead: ReplicaStage, others: readonly ReplicaStage[], own: Card | undefined): Replica {
  const stages = [lead, ...others];
  const { deployment, model, ring, sequences, active, queued, waitingTokens, sequenceMs, standby = false } = lead.stage;
  const isWhole = stages.length === lead.stage.stages && stages.every(({ stage }, index) => stage.stage === index);
  const route = { deployment, lead: lead.card.peer };
  return {
    ...route,
    key: routeKey(route),
    model,
    ring,
    stages,
    isWhole,
    isStandby: standby,
    sequences,
    active,
    queued,
    waitingTokens,
    sequenceMs,
    speed: isWhole ? speedOf(stages) : undefined,
    roundTripMs: own === undefined ? 0 : (roundTrip(own, lead.card) ?? 0),
  };
}

/** Tells whether every machine of a replica has these labels. */
export function hasLabels({ stages, isWhole }: Replica, labels: Labels): boolean {
  const wanted = Object.entries(labels);
  return isWhole && stages.every(({ card }) => wanted.every(([name, value]) => card.labels?.[name] === value));
}

/** Tells whether two replicas have no machine in common, as far as that is known: cards have to show all of both. */
export function shareNoMachine(one: Replica, other: Replica): boolean {
  const machines = new Set(one.stages.map(({ card }) => card.peer));
  return one.isWhole && other.isWhole && other.stages.every(({ card }) => !machines.has(card.peer));
}

function speedOf(stages: readonly ReplicaStage[]): ReplicaSpeed | undefined {
  let [slowest, all, ringMs] = [0, 0, 0];
  for (const [index, { card, stage }] of stages.entries()) {
    if (stage.speed === undefined) return undefined;
    const ms = stage.speed.prefillMsPerTokenPerLayer * (stage.block.to - stage.block.from);
    if (ms === 0) return undefined;
    slowest = Math.max(slowest, ms);
    all += ms;
    const next = stages[(index + 1) % stages.length];
    if (next !== undefined && next.card.peer !== card.peer) ringMs += (roundTrip(card, next.card) ?? 0) / 2;
  }
  return { msPerToken: slowest, passMsPerToken: all - slowest, ringMs };
}

/** Returns the measured round trip between two members, whichever of them has measured it. */
function roundTrip(from: Card, to: Card): number | undefined {
  const of = (one: Card, other: Card): number | undefined =>
    one.links?.find(({ peer }) => peer === other.peer)?.roundTripMs;
  return of(from, to) ?? of(to, from);
}
