import type { Mesh } from '@skein/mesh';
import { asSkeinError, SkeinError, type Card } from '@skein/protocol';

const joinTimeoutMs = 20_000;

/**
 * Waits for the first other member, and returns all that are known then.
 *
 * @throws SkeinError `peer-lost` when none is reached within 20 seconds: a machine that joined nobody is not what its
 * owner wants; the signal's reason when that aborts
 */
export async function untilJoined(
  mesh: Pick<Mesh, 'cards' | 'peerId'>,
  options: { readonly signal: AbortSignal; readonly timeoutMs?: number },
): Promise<readonly Card[]> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs ?? joinTimeoutMs)]);
  for await (const cards of mesh.cards.watch({ signal })) {
    const others = cards.filter(({ peer }) => peer !== mesh.peerId);
    if (others.length > 0) return others;
  }
  if (options.signal.aborted) throw asSkeinError(options.signal.reason, 'aborted');
  throw new SkeinError(
    'peer-lost',
    'no member of the mesh can be reached: is `skein up` running there, with --listen /ip4/0.0.0.0/tcp/7330, and the port open in its firewall?',
  );
}
