import type { Card } from '@skein/protocol';

import { Candidates, type Candidate, type Unconfirmed } from './candidates.ts';
import type { PrefixHolder } from './prefix-index.ts';
import { replicasOf, type Replica, type ReplicaStage } from './replica.ts';
import type { Route } from './route.ts';

/** A replica with the requests that were sent to it and that no card tells of. */
export interface IndexedReplica extends Candidate {
  replica: Replica;
  readonly unconfirmed: { requests: number; tokens: number };
  prefixes: PrefixHolder;
}

/**
 * The replicas on the cards, kept from one look at the cards to the next: only cards that have changed are read. A
 * replica that no card shows any more is gone at once.
 */
export class ReplicaIndex {
  readonly #cards = new Map<string, Card>();
  /** Stages on present cards, by deployment. */
  readonly #stages = new Map<string, ReplicaStage[]>();
  readonly #byDeployment = new Map<string, readonly IndexedReplica[]>();
  readonly #byModel = new Map<string, Candidates<IndexedReplica>>();
  /** The cards of the last look, in their order. */
  readonly #last: Card[] = [];
  readonly #newHolder: () => PrefixHolder;
  #own: Card | undefined;

  /** @param newHolder makes the prefixes of a replica that is new */
  constructor(newHolder: () => PrefixHolder) {
    this.#newHolder = newHolder;
  }

  /**
   * Takes the present cards, with this member's own first.
   *
   * @returns the replicas that are there no longer
   */
  update(cards: readonly Card[]): readonly IndexedReplica[] {
    const changed = new Set<string>();
    // Most cards are those of before, in their old places.
    const isInOrder =
      cards.length === this.#last.length && cards.every(({ peer }, at) => this.#last[at]?.peer === peer);
    if (!isInOrder) this.#removeAllBut(new Set(cards.map(({ peer }) => peer)), changed);
    for (const [at, card] of cards.entries()) {
      if (isInOrder && this.#last[at] === card) continue;
      if (this.#cards.get(card.peer) !== card) this.#replace(card.peer, card, changed);
      this.#last[at] = card;
    }
    this.#last.length = cards.length;
    [this.#own] = cards;
    return [...changed].flatMap((deployment) => this.#describe(deployment));
  }

  /** Returns the replicas of a model, or all of them. */
  replicas(model: string | undefined): Candidates<IndexedReplica> {
    if (model === undefined) return Candidates.of([...this.#byDeployment.values()].flat());
    return this.#byModel.get(model) ?? new Candidates();
  }

  /** Counts requests at a replica that no card tells of, or counts them no more. */
  count(indexed: IndexedReplica, { requests, tokens }: Unconfirmed): void {
    indexed.unconfirmed.requests += requests;
    indexed.unconfirmed.tokens += tokens;
    this.#byModel.get(indexed.replica.model)?.refresh(indexed);
  }

  /** Returns the replicas of a deployment: one for each member that claims to lead it. */
  of(deployment: string): readonly IndexedReplica[] {
    return this.#byDeployment.get(deployment) ?? [];
  }

  find({ deployment, lead }: Route): IndexedReplica | undefined {
    return this.#byDeployment.get(deployment)?.find(({ replica }) => replica.lead === lead);
  }

  #removeAllBut(present: ReadonlySet<string>, changed: Set<string>): void {
    for (const peer of this.#cards.keys()) if (!present.has(peer)) this.#replace(peer, undefined, changed);
  }

  #replace(peer: string, card: Card | undefined, changed: Set<string>): void {
    for (const { deployment } of this.#cards.get(peer)?.stages ?? []) {
      changed.add(deployment);
      const others = (this.#stages.get(deployment) ?? []).filter((held) => held.card.peer !== peer);
      if (others.length === 0) this.#stages.delete(deployment);
      else this.#stages.set(deployment, others);
    }
    if (card === undefined) return void this.#cards.delete(peer);
    this.#cards.set(peer, card);
    for (const stage of card.stages) {
      changed.add(stage.deployment);
      this.#stages.set(stage.deployment, [...(this.#stages.get(stage.deployment) ?? []), { card, stage }]);
    }
  }

  /** Describes the replicas of a deployment anew. Returns those that are there no longer. */
  #describe(deployment: string): readonly IndexedReplica[] {
    const before = this.#byDeployment.get(deployment) ?? [];
    const now = replicasOf(this.#stages.get(deployment) ?? [], this.#own).map((replica) => {
      const known = before.find((one) => one.replica.key === replica.key && one.replica.model === replica.model);
      if (known !== undefined) {
        known.replica = replica;
        this.#byModel.get(replica.model)?.refresh(known);
      }
      return known ?? { replica, unconfirmed: { requests: 0, tokens: 0 }, prefixes: this.#newHolder() };
    });
    const gone = before.filter((one) => !now.includes(one));
    for (const indexed of gone) this.#leave(indexed);
    for (const indexed of now.filter((one) => !before.includes(one))) this.#enter(indexed);
    if (now.length === 0) this.#byDeployment.delete(deployment);
    else this.#byDeployment.set(deployment, now);
    return gone;
  }

  #enter(indexed: IndexedReplica): void {
    const { model } = indexed.replica;
    const others = this.#byModel.get(model);
    if (others === undefined) this.#byModel.set(model, Candidates.of([indexed]));
    else others.add(indexed);
  }

  #leave(indexed: IndexedReplica): void {
    const { model } = indexed.replica;
    const others = this.#byModel.get(model);
    others?.remove(indexed);
    if (others?.all.length === 0) this.#byModel.delete(model);
  }
}
