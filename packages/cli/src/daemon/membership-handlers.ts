import type { AdminHandlers, AuditLog } from '@skein/coordinator';
import { removeMembership, withPeerId, type Authority, type InviteOptions, type Mesh } from '@skein/mesh';
import { encodeInvite, limits, SkeinError, type Logger, type MemberDescription, type Signed } from '@skein/protocol';

import { isOnThisMachine, isReachable } from './default-listen.ts';
import { assertCanLeave } from './leaving.ts';

type MembershipHandlers = Pick<
  AdminHandlers<'local'>,
  'invite' | 'members' | 'approve' | 'revoke' | 'rotate' | 'leave' | 'admitClient'
>;

/** Makes the handlers of commands about members. `mesh` throws while the daemon starts. */
export function membershipHandlers(
  mesh: () => Mesh,
  {
    directory,
    listen,
    stop,
  }: { readonly directory: string; readonly listen: readonly string[]; readonly stop: () => void },
): MembershipHandlers {
  return {
    invite: async (wanted) => ({ invite: await inviteTo(mesh(), listen, wanted) }),
    members: () => ({ mesh: mesh().membership.mesh, members: describeMembers(authorityOf(mesh())) }),
    approve: async ({ peer }) => {
      await authorityOf(mesh()).approve(peer);
      return {};
    },
    revoke: async ({ peer }) => {
      if (peer === mesh().peerId) {
        throw new SkeinError(
          'invalid-request',
          'this machine holds the authority: without it nobody could join any more',
        );
      }
      await authorityOf(mesh()).revoke(peer);
      return {};
    },
    rotate: async ({ graceMs }) => {
      await authorityOf(mesh()).rotate(graceMs);
      return {};
    },
    leave: async () => {
      assertCanLeave(mesh(), directory);
      await mesh().leave();
      await removeMembership(directory);
      stop();
      return {};
    },
    admitClient: async ({ peer }) => {
      const { membership, cards } = mesh();
      const { certificate, revocations } = await mesh().admitClient(peer);
      const peers = cards
        .snapshot()
        .flatMap(({ peer: member, addresses }) => addresses.map((address) => withPeerId(address, member)));
      return { mesh: membership.mesh, certificate: inText(certificate), revocations: inText(revocations), peers };
    },
  };
}

/** Encodes a signed statement for JSON. */
function inText({ bytes, signature }: Signed): { readonly bytes: string; readonly signature: string } {
  return { bytes: Buffer.from(bytes).toString('base64'), signature: Buffer.from(signature).toString('base64') };
}

/**
 * Returns the text of a new invite.
 *
 * @param listen multiaddrs that this machine was told to listen on: where they are of this machine alone, so may be who
 * is invited
 * @throws SkeinError `not-permitted` where another machine has the authority, `not-running` without an address that
 * others can dial
 */
export async function inviteTo(mesh: Mesh, listen: readonly string[], options?: InviteOptions): Promise<string> {
  const authority = authorityOf(mesh);
  const addresses = mesh.addresses().slice(0, limits.maxAddresses);
  if (addresses.length === 0 || (!isOnThisMachine(listen) && !isReachable(addresses))) {
    throw new SkeinError(
      'not-running',
      'nobody could join with an invite now: this machine has no address that others can dial; connect it to a network, name an address with --announce, or see `skein doctor`',
    );
  }
  return encodeInvite({ mesh: authority.mesh, secret: await authority.invite(options), peer: mesh.peerId, addresses });
}

/** Records in the audit log the members that were admitted and revoked. */
export function recordMembership(
  { authority }: Mesh,
  { audit, logger }: { readonly audit: Pick<AuditLog, 'append'>; readonly logger: Logger },
): void {
  authority?.onEvent(({ type, reason = 'revoked', ...event }) => {
    void audit.append(type === 'join' ? { type, ...event } : { type, ...event, reason });
  }, logger);
}

function authorityOf(mesh: Mesh): Authority {
  if (mesh.authority !== undefined) return mesh.authority;
  const { holder: peer } = mesh.membership.revocations;
  const holder = mesh.cards.snapshot().find((card) => card.peer === peer);
  const where = holder === undefined ? 'the machine that has it, where `skein up` made the mesh' : holder.name;
  throw new SkeinError('not-permitted', `this machine does not have the mesh's authority; run this on ${where}`);
}

function describeMembers(authority: Authority): MemberDescription[] {
  const now = Date.now();
  const members = authority.members.map((member): MemberDescription => {
    if (authority.hasEnded(member)) return { ...shown(member), state: member.ended ?? 'revoked' };
    const isExpired = member.expiresAt <= now || authority.isOfOldEpoch(member);
    return { ...shown(member), state: isExpired ? 'expired' : 'member' };
  });
  return [
    ...members,
    ...authority.pending.map((member): MemberDescription => ({ ...shown(member), state: 'waiting' })),
  ];
}

function shown({ peer, roles, name, labels, issuedAt, expiresAt, via }: Authority['members'][number]) {
  return { peer, roles, name, labels, issuedAt, expiresAt, ...(via !== undefined && { via }) };
}
