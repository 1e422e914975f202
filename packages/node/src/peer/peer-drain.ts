import { join } from 'node:path';

import { removeFile, statIfAny, syncDirectory, type FrameStream, type Mesh } from '@skein/mesh';
import { drainRequestSchema, methods, parseHeader, SkeinError, type DrainAnswer } from '@skein/protocol';

import { onDisk, replaceFile } from '../disk/index.ts';
import type { LeaseFence } from './lease-fence.ts';

export interface PeerDrainComponents {
  readonly mesh: Pick<Mesh, 'handle'>;
  readonly fence: LeaseFence;
  /** Directory of the data. */
  readonly directory: string;
  /** Called when the peer is drained, and when it is no longer. */
  readonly onChange: () => void;
}

/** File whose presence says that the peer is drained. */
const fileName = 'draining';

/**
 * Whether this peer is drained: it takes no new stages then, so that coordinators can move those it holds. Coordinators
 * say so, and it lasts through restarts.
 */
export class PeerDrain implements Disposable {
  readonly #components: PeerDrainComponents;
  readonly #handler: Disposable;
  #isDraining: boolean;
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(components: PeerDrainComponents, isDraining: boolean) {
    this.#components = components;
    this.#isDraining = isDraining;
    this.#handler = components.mesh.handle(
      methods.drain,
      async (stream, { peerId }) => await this.#obey(stream, peerId),
    );
  }

  /**
   * Begins as the last command left it, and obeys coordinators until it is disposed of.
   *
   * @throws SkeinError `disk-failed` when the data directory can't be read
   */
  static async open(components: PeerDrainComponents): Promise<PeerDrain> {
    const { directory } = components;
    const isDraining = (await onDisk(directory, async () => await statIfAny(join(directory, fileName)))) !== undefined;
    return new PeerDrain(components, isDraining);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** @throws SkeinError `no-peers` while the peer is drained */
  assertTakesStages(): void {
    if (!this.#isDraining) return;
    throw new SkeinError('no-peers', 'this machine is drained and takes no stages; `skein undrain` ends that');
  }

  [Symbol.dispose](): void {
    this.#handler[Symbol.dispose]();
  }

  async #obey(stream: FrameStream, coordinator: string): Promise<void> {
    const { draining, lease } = parseHeader(drainRequestSchema, (await stream.read())?.header);
    const { fence } = this.#components;
    await fence.admitFrom(coordinator, lease);
    fence.assertObeyed(coordinator, lease);
    const changed = this.#changing.then(async () => await this.#set(draining));
    this.#changing = changed.catch(() => undefined);
    await changed;
    await stream.write({ type: 'drain-answer', draining } satisfies DrainAnswer);
  }

  async #set(draining: boolean): Promise<void> {
    if (draining === this.#isDraining) return;
    const { directory, onChange } = this.#components;
    const path = join(directory, fileName);
    if (draining) await replaceFile(path, '');
    else {
      await onDisk(directory, async () => {
        await removeFile(path);
        await syncDirectory(directory);
      });
    }
    this.#isDraining = draining;
    onChange();
  }
}
