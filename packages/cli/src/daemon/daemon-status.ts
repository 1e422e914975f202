import type { Coordinator } from '@skein/coordinator';
import type { Mesh } from '@skein/mesh';
import type { DaemonStatus } from '@skein/protocol';

/** Returns the daemon's status for `skein status`. */
export function daemonStatus(options: {
  readonly mesh: Pick<Mesh, 'peerId' | 'cards' | 'hasIdentityConflict' | 'traffic'>;
  readonly url: string | undefined;
  /** Undefined where this machine does not coordinate. */
  readonly coordinator: Pick<Coordinator, 'admission' | 'deployments'> | undefined;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  /** Whether this machine stays awake while it holds a stage. */
  readonly keepsAwake: boolean;
}): DaemonStatus {
  const { mesh, url, coordinator, startedAtMs, keepsAwake } = options;
  const { total, peers } = mesh.traffic();
  return {
    pid: process.pid,
    peer: mesh.peerId,
    ...(url !== undefined && { url }),
    startedAtMs,
    keepsAwake,
    hasIdentityConflict: mesh.hasIdentityConflict,
    traffic: { total, peers: Object.fromEntries(peers) },
    cards: [...mesh.cards.snapshot()],
    ...(coordinator !== undefined && {
      admission: [...coordinator.admission.status()],
      waiting: waitingAt(coordinator),
      scaling: scalingAt(coordinator),
    }),
  };
}

function waitingAt({ deployments }: Pick<Coordinator, 'deployments'>): DaemonStatus['waiting'] {
  const waiting = deployments.list().filter(({ state }) => state === 'waiting');
  return waiting.map(({ id, name, error }) => ({ id, name, reason: error?.message ?? '' }));
}

function scalingAt({ deployments }: Pick<Coordinator, 'deployments'>): DaemonStatus['scaling'] {
  const byModel = new Map(deployments.list().map((status) => [status.model, status]));
  return [...byModel].flatMap(([model, { name, replicas, idleMs, pinned, standby }]) =>
    pinned === undefined ? [] : [{ model, name, replicas, idleMs, pinned, standby }],
  );
}
