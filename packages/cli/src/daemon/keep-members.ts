import type { Mesh } from '@skein/mesh';
import { asSkeinError, type Card, type Logger } from '@skein/protocol';

import type { KnownMembers } from '../data/known-members.ts';

type Members = Pick<Mesh, 'cards' | 'peerId'>;

/**
 * Keeps the members' addresses in their file, so that this machine finds them after its next start: those that are there
 * now before it returns, and each change until the mesh stops.
 */
export async function keepMembers(
  mesh: Members,
  { known, logger }: { readonly known: KnownMembers; readonly logger: Logger },
): Promise<void> {
  const remember = remembering(known, logger);
  await remember(mesh.cards.snapshot().filter(({ peer }) => peer !== mesh.peerId));
  void follow(mesh, remember);
}

async function follow(mesh: Members, remember: (members: readonly Card[]) => Promise<void>): Promise<void> {
  for await (const cards of mesh.cards.watch()) await remember(cards.filter(({ peer }) => peer !== mesh.peerId));
}

/**
 * Returns a function that keeps the members' addresses and never throws: without them the way back needs an invite,
 * which is no reason to end a daemon that serves. The next change tries again.
 */
function remembering(known: KnownMembers, logger: Logger): (members: readonly Card[]) => Promise<void> {
  let isFailing = false;
  return async (members) => {
    try {
      await known.remember(members);
      isFailing = false;
    } catch (error) {
      const reason = asSkeinError(error, 'disk-failed').message;
      const message = "can't keep the members' addresses: `skein join` may need an invite again";
      if (!isFailing) logger.warn({ reason }, message);
      isFailing = true;
    }
  };
}
