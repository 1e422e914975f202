import { answerMeasurements, measureLink, type LinkMeasurement, type Mesh } from '@skein/mesh';
import { asSkeinError, maxCardLinks, SkeinError, type Link, type Logger } from '@skein/protocol';

import { isComputing } from './is-computing.ts';

export interface LinkMeasurementsComponents {
  readonly mesh: Pick<Mesh, 'peerId' | 'cards' | 'connectedPeers' | 'handle' | 'open'>;
  readonly logger: Logger;
  /** Called when the card's description of links has changed. */
  readonly onChange: () => void;
  /** Returns the milliseconds of a monotonic clock. Default: `performance.now`. */
  readonly now?: () => number;
  /** Returns the wall clock's time, for the card. Default: `Date.now`. */
  readonly wallClock?: () => number;
  /** Returns a random number in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
  /** Measures a link. Default: {@link measureLink}. */
  readonly measure?: (peerId: string, signal: AbortSignal) => Promise<LinkMeasurement>;
}

const tickMs = 1000;
// A mesh that starts has better things to do than to be measured.
const firstDelayMs = 5000;
const intervalMs = 600_000;
const retryDelayMs = 30_000;

interface Target {
  dueAtMs: number;
  link: Link | undefined;
}

/**
 * The measurements of the links from this peer to the other serving members that it is connected to; it also lets them
 * measure theirs. Each link is measured once soon after its member is first seen and about every ten minutes from then
 * on, one at a time, and only while neither end computes.
 */
export class LinkMeasurements implements Disposable {
  readonly #components: LinkMeasurementsComponents;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #targets = new Map<string, Target>();
  readonly #served = new DisposableStack();
  readonly #stopping = new AbortController();
  #measuring: Promise<void> | undefined;

  constructor(components: LinkMeasurementsComponents) {
    this.#components = components;
    this.#now = components.now ?? (() => performance.now());
    this.#random = components.random ?? Math.random;
  }

  /** Answers others from now on, and checks every second for a link that is due. */
  start(): void {
    const { mesh, logger } = this.#components;
    const isBusy = (): boolean => isComputing(mesh.peerId, mesh.cards.snapshot());
    this.#served.use(answerMeasurements(mesh, { isBusy }));
    const complain = (error: unknown): void => logger.warn({ error }, 'links can not be measured');
    const timer = setInterval(() => void this.tick().catch(complain), tickMs);
    timer.unref();
    this.#served.defer(() => clearInterval(timer));
  }

  /** Ends a measurement that is under way. Forgets all measurements. */
  [Symbol.dispose](): void {
    this.#served.dispose();
    this.#stopping.abort(new SkeinError('aborted', 'the peer is shutting down'));
    this.#targets.clear();
  }

  /** Returns the newest measurements, for the peer's card. */
  describe(): Link[] {
    return [...this.#targets.values()]
      .flatMap(({ link }) => link ?? [])
      .toSorted((left, right) => right.measuredAt - left.measuredAt)
      .slice(0, maxCardLinks);
  }

  /** Measures the link that is most overdue, if there is one. Resolves when it has been measured. */
  async tick(): Promise<void> {
    if (this.#measuring !== undefined || this.#stopping.signal.aborted) return;
    this.#follow();
    const due = this.#mostOverdue();
    if (due === undefined) return;
    this.#measuring = this.#measure(...due);
    await this.#measuring.finally(() => (this.#measuring = undefined));
  }

  /** Notes members that have come, and forgets those that have gone. */
  #follow(): void {
    const { mesh, onChange } = this.#components;
    const serving = new Set(
      mesh.cards
        .snapshot()
        .filter(({ peer, roles }) => peer !== mesh.peerId && roles.includes('peer'))
        .map(({ peer }) => peer),
    );
    for (const peer of serving) {
      if (this.#targets.has(peer)) continue;
      this.#targets.set(peer, { dueAtMs: this.#now() + this.#jittered(firstDelayMs), link: undefined });
    }
    let wasOnCard = false;
    for (const [peer, { link }] of this.#targets) {
      if (serving.has(peer)) continue;
      this.#targets.delete(peer);
      wasOnCard ||= link !== undefined;
    }
    if (wasOnCard) onChange();
  }

  #mostOverdue(): [string, Target] | undefined {
    const { mesh } = this.#components;
    const cards = mesh.cards.snapshot();
    if (isComputing(mesh.peerId, cards)) return undefined;
    const connected = new Set(mesh.connectedPeers());
    return [...this.#targets]
      .filter(([peer, { dueAtMs }]) => dueAtMs <= this.#now() && connected.has(peer) && !isComputing(peer, cards))
      .toSorted(([, left], [, right]) => left.dueAtMs - right.dueAtMs)[0];
  }

  async #measure(peer: string, target: Target): Promise<void> {
    const { mesh, logger, onChange, wallClock = Date.now } = this.#components;
    const measure = this.#components.measure ?? (async (peerId, signal) => await measureLink(mesh, peerId, { signal }));
    const busy = new AbortController();
    // A generation that starts meanwhile must not wait behind our bulk, nor be part of the figure.
    const unsubscribe = mesh.cards.onChange(() => {
      const cards = mesh.cards.snapshot();
      if (!isComputing(mesh.peerId, cards) && !isComputing(peer, cards)) return;
      busy.abort(new SkeinError('aborted', 'a generation has started'));
    });
    try {
      const measured = await measure(peer, AbortSignal.any([busy.signal, this.#stopping.signal]));
      if (this.#targets.get(peer) !== target) return;
      target.link = { peer, ...measured, measuredAt: wallClock() };
      target.dueAtMs = this.#now() + this.#jittered(intervalMs);
      logger.debug({ ...target.link }, 'link measured');
      onChange();
    } catch (error) {
      target.dueAtMs = this.#now() + this.#jittered(retryDelayMs);
      logger.debug({ peer, reason: asSkeinError(error).message }, 'a link could not be measured now');
    } finally {
      unsubscribe();
    }
  }

  /** Returns between three and five quarters of a delay: peers that started together don't all measure at once. */
  #jittered(delayMs: number): number {
    return delayMs * (0.75 + this.#random() / 2);
  }
}
