import type { Mesh } from '@skein/mesh';
import { methods, type Logger, type StageAttach, type StageCommand } from '@skein/protocol';

import type { Schedule } from '../timers.ts';
import type { DeploymentComponents } from './deployment.ts';

export interface LeftStagesComponents {
  readonly mesh: Pick<Mesh, 'open'>;
  readonly logger: Logger;
  readonly lease?: DeploymentComponents['lease'];
  readonly schedule: Schedule;
}

export interface LeftStagesOptions {
  /** Longest time for a peer to take the command, in milliseconds. */
  readonly closeMs: number;
  /** Ends all attempts when it aborts. */
  readonly signal: AbortSignal;
}

/** Pause between two attempts to release a stage, in milliseconds. */
const releasePauseMs = 5000;

/** Stages that peers still hold of deployments that are over, as those of peers that could not be reached then. */
export class LeftStages {
  readonly #components: LeftStagesComponents;
  readonly #options: LeftStagesOptions;
  /** Those that are just being released. */
  readonly #releasing = new Set<string>();

  constructor(components: LeftStagesComponents, options: LeftStagesOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Unloads a stage at its peer. Tries that once in a while, however often it is called, and never throws. */
  async release({
    id,
    peer,
    stage,
  }: {
    readonly id: string;
    readonly peer: string;
    readonly stage: number;
  }): Promise<void> {
    const key = `${id}/${stage}`;
    if (this.#releasing.has(key)) return;
    this.#releasing.add(key);
    const { logger, mesh, schedule } = this.#components;
    const { closeMs: timeoutMs, signal } = this.#options;
    schedule(releasePauseMs, () => this.#releasing.delete(key));
    try {
      const stream = await mesh.open(peer, methods.stage, { signal });
      const lease = this.#components.lease?.();
      const attach: StageAttach = {
        type: 'stage-attach',
        deployment: id,
        stage,
        ...(lease !== undefined && { lease }),
      };
      await stream.write(attach);
      await stream.write({ type: 'stage-unload' } satisfies StageCommand);
      await stream.end({ timeoutMs });
    } catch (error) {
      logger.debug({ error, deployment: id, stage, peer }, 'a stage that was left behind is not released yet');
    }
  }
}
