import type { Cards } from '@skein/mesh';
import type { Card, GenerationEvent, Labels, PackedPrompt, Usage } from '@skein/protocol';

import { chooseReplica, closedAmong, type ChoiceReason } from './choose-replica.ts';
import { PrefixIndex, type Prediction, type PrefixChange } from './prefix-index.ts';
import { ReadingTurns } from './reading-turns.ts';
import { shareNoMachine, type Replica } from './replica.ts';
import { ReplicaIndex, type IndexedReplica } from './replica-index.ts';
import { routeKey, type Route } from './route.ts';
import { Sessions } from './sessions.ts';
import { TokenEstimate } from './token-estimate.ts';

/** The replicas that a request may go to. */
export interface ReplicaQuery {
  /** SHA-256 of the model that they serve. Default: any. */
  readonly model?: string | undefined;
  /** The request's prompt. Default: a short one. */
  readonly prompt?: PackedPrompt | undefined;
  /** Labels that every machine of the replica has to have. Default: none. */
  readonly labels?: Labels | undefined;
  /** Leads that are excluded. Default: none. */
  readonly exclude?: readonly Route[] | undefined;
  /** Deployments that are excluded. Default: none. */
  readonly lost?: ReadonlySet<string> | undefined;
  /** Name of the session that the request belongs to. It stays where it was, unless waiting there costs more. */
  readonly session?: string | undefined;
  /** A lead to choose if it is among them and has a free sequence. Default: none. */
  readonly prefer?: Route | undefined;
  /** Whether the request is the rest of an answer that has lost its replica: standbys are as good as others then. Default: false. */
  readonly isRest?: boolean | undefined;
}

/** A chosen replica. */
export interface ChosenReplica extends Route {
  readonly why: ChoiceReason;
  /** The request's prompt and session, for {@link Replicas.take}. */
  readonly prompt: PackedPrompt | undefined;
  readonly session: string | undefined;
}

/** The facts of a generation's event that a router learns from. */
export type ObservedEvent = Pick<GenerationEvent, 'type'> & {
  readonly promptTokens?: number;
  readonly text?: string;
  readonly usage?: Pick<Usage, 'cachedTokens'>;
};

/** A replica taken for one attempt. Disposing it ends the attempt. */
export interface Attempt extends Route, Disposable {
  /** Takes an event of the generation: from the first on, the lead's cards tell of the request. */
  observe(event: ObservedEvent): void;
  /**
   * Resolves when it is the attempt's turn to have the replica read an answer along that moves there, which it is until that
   * is disposed of: this member's answers move to a replica one after the other.
   */
  readingTurn(): Promise<Disposable>;
}

/** The digests by which prompts and what caches hold are compared. */
export interface PrefixDigests {
  /** Bytes of a prompt that each digest covers beyond the one before. */
  readonly blockBytes: number;
  /** Returns the digests of a prompt's whole blocks. */
  of(prompt: PackedPrompt): readonly number[];
  /** Returns the digests of the whole blocks that a prompt with its answer has beyond those of the prompt. */
  ofAnswer(prompt: PackedPrompt, answer: string): readonly number[];
}

export interface ReplicasOptions {
  readonly cards: Pick<Cards, 'onChange' | 'snapshot'>;
  /** Tells whether a deployment may still serve: its owner knows earlier than the cards show. Default: always true. */
  readonly mayServe?: (deployment: string) => boolean;
  /** Default: none; what caches hold is unknown then. */
  readonly digests?: PrefixDigests | undefined;
  /** Returns a number from 0 up to 1. Default: `Math.random`. */
  readonly random?: () => number;
  /** Returns the milliseconds of a monotonic clock. Default: `performance.now`. */
  readonly now?: () => number;
}

/** An attempt whose request no card tells of yet. */
interface Pending {
  readonly replica: IndexedReplica;
  readonly tokens: number;
  /** Set when the lead has taken the request: with its card at that time, which may not tell of it. */
  begun?: { readonly card: Card | undefined; readonly atMs: number } | undefined;
}

/**
 * Time after which a lead that has a request is taken to tell of it, in milliseconds: a card goes out every two seconds,
 * and one that says the same as before is not reported.
 */
const confirmedAfterMs = 3000;
/**
 * Time for which a replica that has read a prompt counts as holding it, in milliseconds: until its lead says so, or not,
 * which takes a moment.
 */
const predictedForMs = 2000;
/** The same where a lead does not tell: a cache that turns out to have less is not counted on any more. */
const untoldForMs = 300_000;
/** Tokens from which on a prompt's absence from a cache says something. */
const tellingTokens = 256;
/** Tokens of a request of which nobody has said the prompt. */
const unknownPromptTokens = 64;

/**
 * The replicas as this member sees them: those on the cards, without those that it knows to be lost, and with its own
 * requests that no card tells of yet. Cards show these a moment later, so requests that come together would all go to one
 * replica.
 */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #index = new ReplicaIndex(() => this.#prefixes.add());
  readonly #pending = new Set<Pending>();
  readonly #estimate = new TokenEstimate();
  #prefixes = new PrefixIndex();
  #digests: PrefixDigests | undefined;
  readonly #sessions = new Sessions();
  readonly #readingTurns = new ReadingTurns();
  readonly #random: () => number;
  readonly #now: () => number;
  #areCardsNew = true;
  /** Deployments that a coordinator has found to give wrong answers. */
  #out: ReadonlySet<string> = new Set();

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#digests = options.digests;
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? (() => performance.now());
    options.cards.onChange(() => (this.#areCardsNew = true));
  }

  /** Returns the cards with the stages that may serve. */
  cards(): Card[] {
    this.#look();
    return this.#options.cards.snapshot().map((card) => {
      return { ...card, stages: card.stages.filter(({ deployment }) => this.#mayServe(deployment)) };
    });
  }

  /** Chooses the best replica, by the policy of {@link chooseReplica}. Returns undefined when none is ready. */
  choose({ model, prompt, lost, session, ...query }: ReplicaQuery): ChosenReplica | undefined {
    this.#look();
    const candidates = this.#index.replicas(model);
    const isLost =
      lost === undefined || lost.size === 0 ? undefined : ({ deployment }: Route): boolean => lost.has(deployment);
    const tokens = this.#tokensOf(model, prompt);
    const cachedAt = this.#cached({ model, prompt, session });
    const exclude = [...(query.exclude ?? [])];
    // Few that cards show may serve no longer: those are asked about alone that would be chosen.
    for (;;) {
      const request = { ...query, exclude, tokens };
      const choice = chooseReplica(candidates, request, { cachedAt, isLost, random: this.#random });
      if (choice === undefined) return undefined;
      const { deployment, lead } = choice.candidate.replica;
      if (this.#mayServe(deployment)) return { deployment, lead, why: choice.why, prompt, session };
      exclude.push({ deployment, lead });
    }
  }

  /**
   * Chooses the replica that is best prepared to go on with an answer, should its own be lost: a standby, or else one that has
   * nothing to do. It shares no machine with that. Returns undefined when there is none.
   */
  follower(
    query: Pick<ReplicaQuery, 'model' | 'prompt' | 'labels' | 'lost' | 'prefer'>,
    current: Route,
  ): Route | undefined {
    this.#look();
    const led = this.#index.find(current)?.replica;
    if (led === undefined) return undefined;
    const { model = led.model, prompt, labels, lost, prefer } = query;
    const request = { labels, prefer, tokens: this.#tokensOf(model, prompt) };
    const cachedAt = this.#cached({ model, prompt });
    const among = (isMeant: (replica: Replica) => boolean) =>
      chooseReplica(this.#index.replicas(model), request, {
        cachedAt,
        isLost: (replica) => {
          const { deployment } = replica;
          const mayFollow = isMeant(replica) && shareNoMachine(led, replica) && lost?.has(deployment) !== true;
          return !mayFollow || !this.#mayServe(deployment);
        },
        random: this.#random,
      });
    const isIdle = (replica: Replica): boolean =>
      replica.active + replica.queued === 0 && this.#index.find(replica)?.unconfirmed.requests === 0;
    const choice = among(({ isStandby }) => isStandby) ?? among(isIdle);
    if (choice === undefined) return undefined;
    const { deployment, lead } = choice.candidate.replica;
    return { deployment, lead };
  }

  /** Returns, for each replica of a model that takes new requests, the sequences that it generates at once. */
  sequencesOf(model: string): readonly number[] {
    this.#look();
    const candidates = this.#index.replicas(model);
    const closed = closedAmong(candidates, {}, ({ deployment }) => !this.#mayServe(deployment));
    return candidates.all.filter((_, nth) => closed?.[nth] !== 1).map(({ replica }) => replica.sequences);
  }

  /** Returns the numbers of a deployment's rings, by the peer id of the lead that tells of it. */
  ringsOf(deployment: string): ReadonlyMap<string, number> {
    this.#look();
    const replicas = this.#index.of(deployment).map(({ replica }) => replica);
    return new Map(replicas.flatMap(({ lead, ring }) => (ring === undefined ? [] : [[lead, ring]])));
  }

  /** Takes what a lead says of the prefixes in its cache. Nothing is kept of leads that no card shows. */
  changePrefixes(route: Route, change: PrefixChange): void {
    this.#look();
    const replica = this.#index.find(route);
    if (replica === undefined) return;
    // The lead knows better from now on than this member's own predictions.
    if (!replica.prefixes.tells) this.#prefixes.forget(replica.prefixes);
    replica.prefixes.tells = true;
    this.#prefixes.change(replica.prefixes, change);
  }

  /** Forgets what a lead has said of its prefixes, since it says no more. */
  endPrefixes(route: Route): void {
    const replica = this.#index.find(route);
    if (replica === undefined) return;
    replica.prefixes.tells = false;
    this.#prefixes.change(replica.prefixes, { isAnew: true, added: [], removed: [] });
  }

  /** Compares prompts by other digests from now on, and forgets all that was known by those before. */
  useDigests(digests: PrefixDigests): void {
    this.#digests = digests;
    this.#prefixes = new PrefixIndex();
    for (const indexed of this.#index.replicas(undefined).all) indexed.prefixes = this.#prefixes.add();
  }

  /** Counts a request at a replica until a card of its lead tells of it, or the attempt is disposed. */
  take({ deployment, lead, ...chosen }: Route & Partial<ChosenReplica>): Attempt {
    this.#look();
    const { prompt, session, why } = chosen;
    const replica = this.#index.find({ deployment, lead });
    const model = replica?.replica.model;
    const tokens = this.#tokensOf(model, prompt);
    const newTokens = Math.max(1, tokens - (why?.cachedTokens ?? 0));
    const pending = replica && this.#count({ replica, tokens: newTokens });
    if (session !== undefined) this.#sessions.note(session, { deployment, lead, tokens });
    const prefixes = this.#prefixes;
    const prediction = this.#predict(replica, prompt);
    let isPredicted = prediction !== undefined;
    let answer = '';
    const endSoon = (ending: Prediction): void => {
      const forMs = ending.holder.tells ? predictedForMs : untoldForMs;
      prefixes.endAfter(ending, { nowMs: this.#now(), forMs });
    };
    const isRead = (): void => {
      if (isPredicted && prediction !== undefined) endSoon(prediction);
      isPredicted = false;
    };
    return {
      deployment,
      lead,
      observe: ({ type, promptTokens, text = '', usage }) => {
        if (type === 'text-delta') isRead();
        answer += text;
        // The next turn's prompt begins with the answer.
        if (type === 'generation-end' && prediction !== undefined && prompt !== undefined) {
          endSoon(prefixes.predict(prediction.holder, this.#digests?.ofAnswer(prompt, answer) ?? []));
        }
        if (usage !== undefined && isDisproved(why, usage)) this.#forgetPrefixes(replica);
        if (pending !== undefined && pending.begun === undefined) this.#begin(pending);
        if (promptTokens === undefined || model === undefined || prompt === undefined) return;
        this.#estimate.observe(model, sizeOf(prompt), promptTokens);
      },
      readingTurn: async () => await this.#readingTurns.take({ deployment, lead }),
      [Symbol.dispose]: () => {
        isRead();
        if (pending !== undefined) this.#settle(pending);
      },
    };
  }

  #mayServe(deployment: string): boolean {
    const { mayServe = () => true } = this.#options;
    return mayServe(deployment) && !this.#out.has(deployment);
  }

  /** Brings the index up to date with the cards. */
  #look(): void {
    const nowMs = this.#now();
    if (this.#areCardsNew) {
      this.#areCardsNew = false;
      const cards = this.#options.cards.snapshot();
      const gone = this.#index.update(cards);
      this.#out = deploymentsOut(cards);
      for (const { prefixes } of gone) this.#prefixes.remove(prefixes);
    }
    for (const pending of this.#pending) {
      const { begun, replica } = pending;
      if (begun === undefined) continue;
      if (begun.card !== leadCard(replica) || nowMs - begun.atMs > confirmedAfterMs) this.#settle(pending);
    }
  }

  #tokensOf(model: string | undefined, prompt: PackedPrompt | undefined): number {
    return prompt === undefined ? unknownPromptTokens : this.#estimate.tokens(model ?? '', sizeOf(prompt));
  }

  /** Returns the function that tells how many tokens of a prompt a replica has in its cache, as far as is known. */
  #cached({ model, prompt, session }: Pick<ReplicaQuery, 'model' | 'prompt' | 'session'>) {
    const digests = this.#digests;
    const last = session === undefined ? undefined : this.#sessions.last(session);
    const blocks = prompt === undefined ? [] : (digests?.of(prompt) ?? []);
    if (last === undefined && blocks.length === 0) return () => 0;
    const prefixIndex = this.#prefixes;
    const lookUp = prefixIndex.lookUp(blocks, this.#now());
    const block = { type: prompt?.type ?? 'text', byteLength: digests?.blockBytes ?? 0 };
    const tokensPerBlock = this.#estimate.tokens(model ?? '', block);
    const held = ({ prefixes }: IndexedReplica): number => prefixIndex.foundBlocks(prefixes, lookUp) * tokensPerBlock;
    if (last === undefined) return held;
    const atLast = routeKey(last);
    return (indexed: IndexedReplica): number =>
      indexed.replica.key === atLast ? Math.max(held(indexed), last.tokens) : held(indexed);
  }

  /** Forgets what a replica was believed to hold, which it does not: it has evicted more than is known. A lead that tells is
   * believed. */
  #forgetPrefixes(replica: IndexedReplica | undefined): void {
    if (replica !== undefined && !replica.prefixes.tells) this.#prefixes.forget(replica.prefixes);
  }

  /** Counts a replica as a holder of a prompt that is sent there. */
  #predict(replica: IndexedReplica | undefined, prompt: PackedPrompt | undefined): Prediction | undefined {
    const digests = this.#digests;
    if (replica === undefined || prompt === undefined || digests === undefined) return undefined;
    return this.#prefixes.predict(replica.prefixes, digests.of(prompt));
  }

  #count(pending: Pending): Pending {
    this.#pending.add(pending);
    this.#index.count(pending.replica, { requests: 1, tokens: pending.tokens });
    return pending;
  }

  #begin(pending: Pending): void {
    this.#look();
    pending.begun = { card: leadCard(pending.replica), atMs: this.#now() };
  }

  /** Stops counting a request. */
  #settle(pending: Pending): void {
    if (!this.#pending.delete(pending)) return;
    this.#index.count(pending.replica, { requests: -1, tokens: -pending.tokens });
  }
}

function leadCard({ replica }: IndexedReplica): Card | undefined {
  return replica.stages[0]?.card;
}

/** Tells whether much of what a cache was believed to have was not there. */
function isDisproved(why: ChoiceReason | undefined, { cachedTokens }: Pick<Usage, 'cachedTokens'>): boolean {
  const believed = why?.cachedTokens ?? 0;
  return believed >= tellingTokens && cachedTokens !== undefined && cachedTokens < believed / 2;
}

function sizeOf({ type, bytes }: PackedPrompt) {
  return { type, byteLength: bytes.byteLength };
}

/** Returns the deployments that coordinators have taken out: a member that is none has no say. */
function deploymentsOut(cards: readonly Card[]): ReadonlySet<string> {
  const doubts = cards.flatMap(({ roles, doubts: told = [] }) => (roles.includes('coordinator') ? told : []));
  return new Set(doubts.filter(({ isOut }) => isOut).map(({ deployment }) => deployment));
}
