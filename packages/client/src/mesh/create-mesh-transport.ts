import { hostname } from 'node:os';

import {
  askToJoin,
  createIdentity,
  createMesh,
  loadIdentity,
  loadMembership,
  saveMembership,
  withPeerId,
  type Identity,
  type Membership,
} from '@skein/mesh';
import { decodeInvite, SkeinError, type Logger } from '@skein/protocol';

import { MeshTransport } from './mesh-transport.ts';

interface MemberOptions {
  /** Name of the client in the mesh. Default: the host name. */
  readonly name?: string;
  /** Whether to look for members on the local network. Default true. */
  readonly mdns?: boolean;
  /** Multiaddrs of members to dial, beside those in the invite and those found on the local network. */
  readonly peers?: readonly string[];
  /** Default: none. */
  readonly logger?: Logger;
}

/** The way in which a client becomes a member of the mesh. */
export type MeshAccess = MemberOptions &
  (
    | {
        /**
         * The text that `skein invite --role client` printed. It admits one client, once: a `directory` makes it
         * unnecessary later.
         */
        readonly invite: string;
        /** Directory for this client's identity and certificate, which one client at a time uses. Default: nowhere. */
        readonly directory?: string;
      }
    | {
        /** Directory of a client that was admitted before. */
        readonly directory: string;
        readonly invite?: never;
      }
    | {
        readonly identity: Identity;
        readonly membership: Membership;
        readonly invite?: never;
        readonly directory?: never;
      }
  );

/**
 * Makes a transport that is a member of the mesh: one that only asks, and listens to nobody.
 *
 * @throws SkeinError `invalid-request` for a malformed invite; `not-a-member` for one that is not valid any more, or a
 * directory without a mesh; `peer-lost` when nobody answers
 */
export async function createMeshTransport(
  access: MeshAccess,
  options: { readonly signal: AbortSignal },
): Promise<MeshTransport> {
  const { name, mdns, logger, peers = [] } = access;
  const invite = access.invite === undefined ? undefined : decodeInvite(access.invite);
  const invitedTo = invite?.addresses.map((address) => withPeerId(address, invite.peer)) ?? [];
  const mesh = await createMesh({
    ...(await credentialsOf(access, { name: name ?? hostname(), ...options })),
    peers: [...invitedTo, ...peers],
    roles: ['client'],
    // It asks; nobody has a reason to dial it.
    listen: [],
    ...(name !== undefined && { name }),
    ...(mdns !== undefined && { mdns }),
    ...(logger !== undefined && { logger }),
  });
  return new MeshTransport(mesh);
}

async function credentialsOf(
  access: MeshAccess,
  asked: { readonly name: string; readonly signal: AbortSignal },
): Promise<{ readonly identity: Identity; readonly membership: Membership }> {
  if ('membership' in access) return access;
  const { directory, invite } = access;
  if (directory === undefined) {
    const identity = await createIdentity();
    return { identity, membership: await askToJoin({ identity, invite: decodeInvite(invite ?? ''), ...asked }) };
  }
  const known = await loadMembership(directory);
  if (known === undefined && invite === undefined) {
    throw new SkeinError('not-a-member', `${directory} belongs to no mesh; connect once with an invite`);
  }
  const identity = await loadIdentity(directory);
  if (known !== undefined) return { identity, membership: known };
  const membership = await askToJoin({ identity, invite: decodeInvite(invite ?? ''), ...asked });
  await saveMembership(directory, membership);
  return { identity, membership };
}
