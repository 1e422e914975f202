import { setTimeout as delay } from 'node:timers/promises';

import { aliveSchema, methods, parseHeader, type Alive, type Logger } from '@skein/protocol';

import type { FrameStream } from '../streams/frame-stream.ts';
import { FailureDetector, type Verdict } from './failure-detector.ts';
import type { LivenessTimes } from './presets.ts';

export interface LivenessComponents {
  /** Times until others are adopted. */
  readonly times: LivenessTimes;
  readonly logger: Logger;
  readonly isConnected: (peerId: string) => boolean;
  /** Opens a stream of `methods.alive`. */
  readonly open: (peerId: string) => Promise<FrameStream>;
  /** Returns the bytes that have come from a member so far, on any connection. */
  readonly receivedBytes: (peerId: string) => number;
  /** Called when a member is dead: nothing came from it for too long, though it is connected. */
  readonly onDead: (verdict: Verdict) => void;
}

const checkMs = 100;

/**
 * A detector of members that are dead although no connection says so: frozen, or behind a cable that was pulled. Each
 * member sends heartbeats to each other one that it is connected to, one way: an answer would have to queue behind bulk
 * twice. Until its first heartbeat a member has as long as a stream may take to open.
 */
export class Liveness {
  readonly #components: LivenessComponents;
  readonly #beating = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #silence = new FailureDetector(performance.now());
  #times: LivenessTimes;
  #timer: NodeJS.Timeout | undefined;

  constructor(components: LivenessComponents) {
    this.#components = components;
    this.#times = components.times;
  }

  start(): void {
    // Timers run before what has arrived meanwhile is read: judged is after that.
    this.#timer ??= setInterval(() => setImmediate(() => this.#check()), checkMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#stopping.abort();
  }

  /** Goes by other times from now on: the next heartbeat tells the others. */
  adopt(times: LivenessTimes): void {
    this.#times = times;
  }

  /** Sends heartbeats to a member for as long as we are connected. Does nothing where that is done already. */
  async heartbeat(peerId: string): Promise<void> {
    if (this.#beating.has(peerId)) return;
    this.#beating.add(peerId);
    const { logger, isConnected, open } = this.#components;
    const isWanted = (): boolean => isConnected(peerId) && !this.#stopping.signal.aborted;
    while (isWanted()) {
      try {
        await this.#send(await open(peerId));
      } catch (error) {
        logger.debug({ peer: peerId, error }, 'a stream of heartbeats was lost');
      }
      if (isWanted()) await pause(this.#times.beatMs, this.#stopping.signal);
    }
    this.#beating.delete(peerId);
  }

  /** Takes the heartbeats of a member until their stream is over. As bytes they have been counted already. */
  async listen(peerId: string, stream: FrameStream): Promise<void> {
    for await (const { header } of stream) {
      const { deadAfterMs } = parseHeader(aliveSchema, header);
      if (this.#components.isConnected(peerId))
        this.#silence.watch(peerId, Math.max(this.#times.deadAfterMs, deadAfterMs));
    }
  }

  /** Notes that there is a connection to a member, the first one or another. */
  connected(peerId: string): void {
    this.#silence.expect(peerId, Math.max(this.#times.deadAfterMs, methods.alive.openTimeoutMs));
    void this.heartbeat(peerId);
  }

  /** Notes that the last connection to a member is gone. */
  lost(peerId: string): void {
    this.#silence.forget(peerId);
  }

  async #send(stream: FrameStream): Promise<void> {
    const over = AbortSignal.any([stream.lost, this.#stopping.signal]);
    try {
      while (!over.aborted) {
        const { beatMs, deadAfterMs } = this.#times;
        const heartbeat: Alive = { type: 'alive', deadAfterMs };
        // One that has not left yet says as much as two.
        if (stream.unsentBytes === 0) await stream.write(heartbeat);
        await pause(beatMs, over);
      }
    } finally {
      stream.abort();
    }
  }

  #check(): void {
    if (this.#stopping.signal.aborted) return;
    const { receivedBytes, logger, onDead } = this.#components;
    for (const verdict of this.#silence.check(performance.now(), receivedBytes)) {
      const { peerId, silentMs } = verdict;
      logger.warn({ peer: peerId, silentMs: Math.round(silentMs) }, 'a member is silent: it counts as dead');
      onDead(verdict);
    }
  }
}

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  await delay(durationMs, undefined, { signal }).catch(() => undefined);
}
