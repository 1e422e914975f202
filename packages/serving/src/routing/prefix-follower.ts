import { pause, PromptDigests, type FrameStream, type Mesh } from '@skein/mesh';
import {
  methods,
  parseHeader,
  prefixesEventSchema,
  prefixLimits,
  SkeinError,
  unpackDigests,
  type Card,
  type Logger,
  type PrefixesAsk,
} from '@skein/protocol';

import type { Replicas } from './replicas.ts';
import { routeKey, type Route } from './route.ts';
import { ToldPrefixes } from './told-prefixes.ts';

export interface PrefixFollowerComponents {
  readonly mesh: Pick<Mesh, 'cards' | 'open'>;
  readonly replicas: Pick<Replicas, 'changePrefixes' | 'endPrefixes' | 'useDigests'>;
  /** The digests that the replicas use at first. */
  readonly digests: PromptDigests;
  /** Default: none. */
  readonly logger?: Logger | undefined;
  /** Whether leads are offered a key, where they have none: they take one from coordinators alone. */
  readonly offersKey: boolean;
  /** Pauses between two attempts to follow a lead, in milliseconds, each twice the one before. Default 2,000 to 300,000. */
  readonly retryMs?: { readonly least: number; readonly most: number };
}

/** A lead that is followed. */
interface Followed {
  readonly route: Route;
  readonly ending: AbortController;
  /** Ends the attempt that runs, or the pause behind it. */
  turn: AbortController;
  /** The key of its digests that it told last, in hexadecimal digits. */
  key?: string | undefined;
}

/** Most leads that are followed. */
const maxFollowed = 1024;
const defaultRetryMs = { least: 2000, most: 300_000 };
/** Longest silence of a lead that is followed. */
const silenceMs = 3 * prefixLimits.heartbeatMs;
/** Time after which a lead that was followed counts as one that tells, and is asked again at once when it is lost. */
const goodMs = 60_000;

/**
 * Follows what the leads on the cards tell of the prefixes in their caches. Prompts are compared by the digests of one
 * key at a time: the one that most leads have. A lead with another one is as good as one that does not tell.
 */
export class PrefixFollower implements Disposable {
  readonly #components: PrefixFollowerComponents;
  readonly #followed = new Map<string, Followed>();
  readonly #stopWatching: () => void;
  #digests: PromptDigests;

  constructor(components: PrefixFollowerComponents) {
    this.#components = components;
    this.#digests = components.digests;
    const { cards } = components.mesh;
    this.#stopWatching = cards.onChange(() => this.#sync(cards.snapshot()));
    this.#sync(cards.snapshot());
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    for (const { ending } of this.#followed.values()) ending.abort(new SkeinError('aborted', 'the router is stopped'));
    this.#followed.clear();
  }

  #sync(cards: readonly Card[]): void {
    const present = new Set<string>();
    for (const { peer, stages } of cards) {
      for (const { deployment, stage, state } of stages) {
        if (stage !== 0 || state !== 'ready') continue;
        const route = { deployment, lead: peer };
        const key = routeKey(route);
        present.add(key);
        if (this.#followed.has(key) || this.#followed.size >= maxFollowed) continue;
        const followed: Followed = { route, ending: new AbortController(), turn: new AbortController() };
        this.#followed.set(key, followed);
        void this.#follow(followed);
      }
    }
    for (const [key, { ending }] of this.#followed) {
      if (present.has(key)) continue;
      ending.abort(new SkeinError('aborted', 'the lead is gone'));
      this.#followed.delete(key);
    }
  }

  /** Follows a lead until it is gone. Never throws. */
  async #follow(followed: Followed): Promise<void> {
    const { signal } = followed.ending;
    const { least, most } = this.#components.retryMs ?? defaultRetryMs;
    for (let pauseMs = least; !signal.aborted; pauseMs = Math.min(2 * pauseMs, most)) {
      const startedMs = performance.now();
      followed.turn = new AbortController();
      const inTurn = AbortSignal.any([signal, followed.turn.signal]);
      try {
        await this.#listen(followed, inTurn);
      } catch (error) {
        if (signal.aborted) break;
        this.#components.logger?.debug({ ...followed.route, error }, 'a lead does not tell of its prefixes');
      }
      this.#components.replicas.endPrefixes(followed.route);
      if (performance.now() - startedMs > goodMs) pauseMs = least;
      await pause(pauseMs, inTurn);
    }
  }

  async #listen(followed: Followed, signal: AbortSignal): Promise<void> {
    const { mesh, replicas, offersKey } = this.#components;
    const { route } = followed;
    await using stream = await mesh.open(route.lead, methods.prefixes, { signal });
    const offered = offersKey ? { key: this.#digests.key } : {};
    await stream.write({ type: 'prefixes-ask', deployment: route.deployment, ...offered } satisfies PrefixesAsk);
    const { event } = await readEvent(stream, signal, methods.prefixes.openTimeoutMs);
    if (event.type !== 'prefixes-begin') throw new SkeinError('protocol-violation', 'the key did not come first');
    followed.key = hexOf(event.key);
    this.#agree(event.key, followed);
    if (followed.key !== hexOf(this.#digests.key)) throw new SkeinError('protocol-violation', 'another key than most');
    const told = new ToldPrefixes(performance.now());
    replicas.changePrefixes(route, { isAnew: true, added: [], removed: [] });
    for (;;) {
      const { event: next, payload } = await readEvent(stream, signal, silenceMs);
      if (next.type !== 'prefixes-change') throw new SkeinError('protocol-violation', 'the key came twice');
      const delta = unpackDigests(next, payload);
      const restMs = told.take(delta, performance.now());
      replicas.changePrefixes(route, { isAnew: false, ...delta });
      if (restMs > 0) await pause(restMs, signal);
    }
  }

  /** Takes the key that a lead has told, if more have told that one than the one in use. All others begin anew then. */
  #agree(candidate: Uint8Array, from: Followed): void {
    const [mine, other] = [hexOf(this.#digests.key), hexOf(candidate)];
    const countOf = (key: string): number => [...this.#followed.values()].filter((one) => one.key === key).length;
    if (mine === other || countOf(other) <= countOf(mine)) return;
    this.#digests = new PromptDigests(candidate);
    this.#components.replicas.useDigests(this.#digests);
    for (const followed of this.#followed.values()) if (followed !== from) followed.turn.abort();
  }
}

async function readEvent(stream: FrameStream, signal: AbortSignal, timeoutMs: number) {
  const frame = await stream.read({ signal, timeoutMs });
  if (frame === undefined) throw new SkeinError('peer-lost', 'the lead has ended the stream');
  return { event: parseHeader(prefixesEventSchema, frame.header), payload: frame.payload };
}

function hexOf(key: Uint8Array): string {
  return Buffer.from(key).toString('hex');
}
