import { PromptDigests, type DigestChain } from '@skein/mesh';
import { prefixLimits, type PackedPrompt, type PrefixDelta } from '@skein/protocol';

import type { PrefixNews } from '../engine/lead/held-prompts.ts';

/**
 * The digests of the prefixes in one lead's cache. The engine tells of prompts by the ids of their generations; each has
 * the digests of its text. Nothing is known until there is a key.
 */
export class HeldPrefixes {
  #digests: PromptDigests | undefined;
  /** Prompts that the engine has been given, or holds. */
  readonly #prompts = new Map<string, KnownPrompt>();
  /** Number of held prompts that have a digest. */
  readonly #counts = new Map<number, number>();
  readonly #followers = new Set<PrefixFollowing>();

  /** The key of the digests, if any. */
  get key(): Uint8Array | undefined {
    return this.#digests?.key;
  }

  /** Takes a key, unless there is one. */
  takeKey(key: Uint8Array): void {
    this.#digests ??= new PromptDigests(key);
  }

  /** Takes a prompt that is given to the engine. */
  note(id: string, prompt: PackedPrompt): void {
    const chain = this.#digests?.chain(prompt);
    if (chain !== undefined) this.#prompts.set(id, { chain, digests: chain.digests, counted: 0, isHeld: false });
  }

  /** Takes the end of a generation: where the engine has held nothing of it by then, it never will. */
  ended(id: string): void {
    if (this.#prompts.get(id)?.isHeld === false) this.#prompts.delete(id);
  }

  /** Takes what the engine tells of its cache. */
  change({ held, gone }: PrefixNews): void {
    for (const { id, tokens, of, answer } of held) {
      this.#count(id, tokens / of);
      if (answer !== undefined && tokens >= of) this.#append(id, answer);
    }
    for (const id of gone) {
      this.#count(id, 0);
      this.#prompts.delete(id);
    }
  }

  /** Takes the loss of all that the engine held. */
  clear(): void {
    this.change({ held: [], gone: [...this.#prompts.keys()] });
  }

  /** Follows the digests, until the returned object is disposed: all that are held first, then each change. */
  follow(): PrefixFollowing {
    const following = new PrefixFollowing(() => this.#followers.delete(following));
    for (const digest of this.#counts.keys()) following.add(digest);
    this.#followers.add(following);
    return following;
  }

  /** Counts so large a share of a prompt's digests as held. */
  #count(id: string, share: number): void {
    const prompt = this.#prompts.get(id);
    if (prompt === undefined) return;
    prompt.isHeld = true;
    this.#countFirst(prompt, Math.floor(Math.min(1, share) * prompt.chain.digests.length));
  }

  /** Counts the digests of an answer as held, too: the next turn of its conversation begins with it. */
  #append(id: string, answer: string): void {
    const prompt = this.#prompts.get(id);
    if (prompt === undefined || prompt.counted < prompt.chain.digests.length) return;
    prompt.digests = [...prompt.chain.digests, ...prompt.chain.ofAnswer(answer)];
    this.#countFirst(prompt, prompt.digests.length);
  }

  #countFirst(prompt: KnownPrompt, count: number): void {
    const { digests, counted } = prompt;
    let now = count;
    for (const digest of digests.slice(now, counted)) this.#release(digest);
    for (const [index, digest] of digests.slice(counted, now).entries()) {
      // More than may be told: the rest of this one stays unknown.
      if (!this.#hold(digest)) {
        now = counted + index;
        break;
      }
    }
    prompt.counted = now;
  }

  #hold(digest: number): boolean {
    const count = this.#counts.get(digest) ?? 0;
    if (count === 0) {
      if (this.#counts.size >= prefixLimits.maxHeld) return false;
      for (const follower of this.#followers) follower.add(digest);
    }
    this.#counts.set(digest, count + 1);
    return true;
  }

  #release(digest: number): void {
    const count = (this.#counts.get(digest) ?? 1) - 1;
    if (count > 0) this.#counts.set(digest, count);
    else if (this.#counts.delete(digest)) for (const follower of this.#followers) follower.remove(digest);
  }
}

interface KnownPrompt {
  readonly chain: DigestChain;
  /** Those of the prompt, and of the answer once that is held. */
  digests: readonly number[];
  /** Number of them that are counted as held. */
  counted: number;
  /** Whether the engine has told of it. */
  isHeld: boolean;
}

/** One router's view of the digests: the changes that it has not been told yet. They are as many as digests at most. */
export class PrefixFollowing implements Disposable {
  /** Whether a digest was added, or else removed. */
  readonly #changes = new Map<number, boolean>();
  readonly #stop: () => void;
  #wake: (() => void) | undefined;

  constructor(stop: () => void) {
    this.#stop = stop;
  }

  [Symbol.dispose](): void {
    this.#stop();
  }

  add(digest: number): void {
    this.#note(digest, true);
  }

  remove(digest: number): void {
    this.#note(digest, false);
  }

  /** Resolves when there is something to tell. One call at a time. */
  async changed(): Promise<void> {
    if (this.#changes.size > 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
  }

  /** Takes as many changes as one message has room for, the oldest first. */
  take(): PrefixDelta {
    const [added, removed]: [number[], number[]] = [[], []];
    for (const [digest, isAdded] of this.#changes) {
      const list = isAdded ? added : removed;
      if (list.length >= prefixLimits.maxChange) break;
      list.push(digest);
      this.#changes.delete(digest);
    }
    return { added, removed };
  }

  #note(digest: number, isAdded: boolean): void {
    // A change that was not told yet, and is undone, is no news.
    if (this.#changes.has(digest)) this.#changes.delete(digest);
    else this.#changes.set(digest, isAdded);
    this.#wake?.();
    this.#wake = undefined;
  }
}
