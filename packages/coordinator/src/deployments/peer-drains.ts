import { drainPeer, type Mesh } from '@skein/mesh';
import {
  asSkeinError,
  isolated,
  machineName,
  SkeinError,
  toLog,
  type Card,
  type DrainMove,
  type DrainStatus,
  type Logger,
} from '@skein/protocol';

import type { Deployment, DeploymentComponents } from './deployment.ts';
import type { DeploymentJob } from './deployment-job.ts';

/** The deployments, as far as a drain changes them. */
export interface DrainedDeployments {
  /** Lists the jobs of the deployments that serve, or are about to, with a stage on a peer. */
  readonly on: (peer: string) => readonly DeploymentJob[];
  /** Adds a deployment like another one. */
  readonly replace: (id: string) => DeploymentJob;
  /** Takes a deployment down. */
  readonly takeDown: (id: string, goal: 'hand-over' | 'drain' | 'end') => void;
  /** Tells whether a replica of a model serves that has no stage on a peer. */
  readonly isServedBeside: (model: string, peer: string) => boolean;
}

export interface PeerDrainsComponents {
  readonly mesh: Pick<Mesh, 'cards' | 'freshCard' | 'open'>;
  readonly deployments: DrainedDeployments;
  readonly logger: Logger;
  /** Longest wait for the card of a replica that serves, in milliseconds. */
  readonly shownMs: number;
  readonly lease?: DeploymentComponents['lease'];
}

export interface DrainOptions {
  /** Whether deployments without room elsewhere are taken down when their answers have ended. Default: it is refused. */
  readonly force?: boolean | undefined;
  /** Called with the state at first and after every change. */
  readonly onProgress?: ((status: DrainStatus) => void) | undefined;
}

/** A deployment on its way off a peer. */
interface Move {
  readonly job: DeploymentJob;
  readonly replacement: DeploymentJob;
  step: DrainMove['step'];
  /** Whether the replacement serves. */
  isReplaced: boolean;
}

/**
 * Drains peers: has them take no more stages, and moves the deployments of this coordinator off. Each is replaced first,
 * so that its answers wait for no more than the reading of their tokens elsewhere.
 */
export class PeerDrains {
  readonly #components: PeerDrainsComponents;
  /** Peers that are just being drained. */
  readonly #under = new Set<string>();

  constructor(components: PeerDrainsComponents) {
    this.#components = components;
  }

  /**
   * Drains a peer. Resolves when no deployment of this coordinator has a stage there.
   *
   * @throws SkeinError `not-found` for a machine that is none of the mesh's peers, `already-running` while it is being
   * drained; those of deploying where a deployment has no room elsewhere, and nothing has changed then
   */
  async drain(peer: string, { force = false, onProgress }: DrainOptions = {}): Promise<DrainStatus> {
    const { mesh, logger } = this.#components;
    const report = isolated(onProgress ?? (() => undefined), toLog(logger, 'a drain'));
    this.#assertPeer(peer);
    if (this.#under.has(peer)) throw new SkeinError('already-running', 'this machine is being drained already');
    this.#under.add(peer);
    try {
      const wasDraining = mesh.cards.snapshot().some((card) => card.peer === peer && card.draining === true);
      await this.#tell(peer, true);
      const moves = this.#begin(peer);
      using _watched = watch(moves, () => report(statusOf(peer, moves)));
      const failure = await this.#untilReplaced(peer, moves);
      if (failure !== undefined && !force) {
        for (const { replacement } of moves) this.#components.deployments.takeDown(replacement.id, 'end');
        if (!wasDraining) await this.#tell(peer, false);
        throw this.#noRoom(peer, failure);
      }
      await this.#moveOff(moves, () => report(statusOf(peer, moves)));
      return statusOf(peer, moves);
    } finally {
      this.#under.delete(peer);
    }
  }

  /**
   * Has a peer take stages again.
   *
   * @throws SkeinError `not-found` for a machine that is none of the mesh's peers
   */
  async undrain(peer: string): Promise<void> {
    this.#assertPeer(peer);
    await this.#tell(peer, false);
  }

  async #tell(peer: string, draining: boolean): Promise<void> {
    const { mesh, lease } = this.#components;
    await drainPeer(mesh, peer, { draining, lease: lease?.() });
  }

  #assertPeer(peer: string): void {
    const card = this.#components.mesh.cards.snapshot().find((one) => one.peer === peer);
    if (card?.roles.includes('peer') === true) return;
    throw new SkeinError('not-found', `no machine ${peer.slice(0, 100)} serves in this mesh now; see \`skein status\``);
  }

  #begin(peer: string): Move[] {
    const { on, replace } = this.#components.deployments;
    return on(peer).map((job) => ({ job, replacement: replace(job.id), step: 'replacing', isReplaced: false }));
  }

  /** Waits for all replacements. Returns the error of one that a deployment needs and that will never serve. */
  async #untilReplaced(peer: string, moves: readonly Move[]): Promise<{ move: Move; error: SkeinError } | undefined> {
    const { isServedBeside } = this.#components.deployments;
    let failure: { move: Move; error: SkeinError } | undefined;
    const replaced = moves.map(async (move) => {
      try {
        const replacement = await move.replacement.ready;
        assertAsRoomy(move.job, replacement);
        await this.#untilShown(replacement);
        move.isReplaced = true;
      } catch (error) {
        if (isServedBeside(move.job.model, peer)) return;
        failure ??= { move, error: asSkeinError(error) };
        move.step = 'ending';
      }
    });
    await Promise.all(replaced);
    return failure;
  }

  /** Waits until its card tells of a replica, as members that ask leads themselves see it; for a while at most. */
  async #untilShown({ id, over }: Deployment): Promise<void> {
    const signal = AbortSignal.timeout(this.#components.shownMs);
    const isShown = ({ stages }: Card): boolean =>
      stages.some(({ deployment, stage, state }) => deployment === id && stage === 0 && state === 'ready');
    const watch = async (): Promise<void> => {
      for await (const cards of this.#components.mesh.cards.watch({ signal })) if (cards.some(isShown)) return;
    };
    await Promise.race([watch().catch(() => undefined), over]);
  }

  async #moveOff(moves: readonly Move[], onChange: () => void): Promise<void> {
    const { takeDown } = this.#components.deployments;
    const moved = moves.map(async (move) => {
      const { job } = move;
      if (move.step === 'replacing') move.step = 'handing-over';
      takeDown(job.id, move.step === 'ending' ? 'drain' : 'hand-over');
      onChange();
      await job.gone;
      move.step = 'gone';
      onChange();
    });
    await Promise.all(moved);
  }

  #noRoom(peer: string, { move, error }: { readonly move: Move; readonly error: SkeinError }): SkeinError {
    const name = move.job.deployment?.status().name ?? 'a deployment';
    const machine = machineName(this.#components.mesh.cards.snapshot(), peer);
    return new SkeinError(
      error.code,
      `${machine} is not drained, since ${name} can't move: ${error.message}; or let its answers end and take it down with --force`,
      { cause: error, details: error.details },
    );
  }
}

/** Throws `does-not-fit` for a replacement whose context may be too small for answers that run. */
function assertAsRoomy({ deployment }: DeploymentJob, replacement: Deployment): void {
  const { contextTokens, name } = replacement.status();
  const needed = deployment?.status().contextTokens ?? 0;
  if (contextTokens >= needed) return;
  throw new SkeinError(
    'does-not-fit',
    `elsewhere there is room for ${contextTokens} of the ${needed} tokens of context of ${name}; join another machine`,
  );
}

function statusOf(peer: string, moves: readonly Move[]): DrainStatus {
  return {
    peer,
    moves: moves.map(({ job, replacement, step, isReplaced }) => {
      const { name = '', running } = job.deployment?.status() ?? {};
      return {
        id: job.id,
        name,
        step,
        ...(isReplaced && { replacement: replacement.id }),
        ...(running !== undefined && step !== 'gone' && { running }),
      };
    }),
  };
}

/** Calls back now, and at every change of the deployments that move and of those in their place. */
function watch(moves: readonly Move[], callback: () => void): Disposable {
  const stack = new DisposableStack();
  for (const { job, replacement } of moves) {
    stack.use(job.observe(callback));
    stack.use(replacement.observe(callback));
  }
  callback();
  return stack;
}
