import type { Mesh } from '@skein/mesh';
import type { DaemonStatus } from '@skein/protocol';

/** Returns the daemon's status for `skein status`. */
export function daemonStatus(options: {
  readonly mesh: Pick<Mesh, 'peerId' | 'cards' | 'hasIdentityConflict' | 'traffic'>;
  readonly url: string | undefined;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
}): DaemonStatus {
  const { mesh, url, startedAtMs } = options;
  const { total, peers } = mesh.traffic();
  return {
    pid: process.pid,
    peer: mesh.peerId,
    ...(url !== undefined && { url }),
    startedAtMs,
    hasIdentityConflict: mesh.hasIdentityConflict,
    traffic: { total, peers: Object.fromEntries(peers) },
    cards: [...mesh.cards.snapshot()],
  };
}
