import { formatBytes, SkeinError, type MemoryRoom } from '@skein/protocol';

/** Memory that a stage is about to take. */
export interface StageNeeds {
  /** Weights, KV cache and swap space. */
  readonly bytes: number;
  /** Experts among them that were asked to lie in main memory. */
  readonly expertBytes: number;
}

/**
 * Checks that a machine has room for a stage. Experts that were asked to lie in main memory need room there, however
 * much the GPUs have; others go there only where they do not fit on GPUs.
 *
 * @throws SkeinError `does-not-fit` with the numbers and what would help
 */
export function assertStageRoom(room: MemoryRoom, { bytes, expertBytes }: StageNeeds): void {
  if (bytes > room.bytes) {
    throw new SkeinError(
      'does-not-fit',
      `the stage needs ${formatBytes(bytes)} where this machine has room for ${formatBytes(room.bytes)}; ask for a smaller context`,
    );
  }
  if (expertBytes > room.mainBytes) {
    throw new SkeinError(
      'does-not-fit',
      `the stage's experts need ${formatBytes(expertBytes)} of main memory where this machine has room for ${formatBytes(room.mainBytes)}; ask for fewer cpuExpertLayers (--cpu-moe), or leave it out`,
    );
  }
}
