import { createIdentity, createMesh, loadMeshSecret, MeshSecret } from '@skein/mesh';
import { decodeInvite, SkeinError, type Logger } from '@skein/protocol';

import { MeshTransport } from './mesh-transport.ts';

interface MemberOptions {
  /** What the client is called in the mesh. Default: the host name. */
  readonly name?: string;
  /** Look for members on the local network. Default true. */
  readonly mdns?: boolean;
  /** Default: none. */
  readonly logger?: Logger;
}

/** How to become a member: with an invite, or with the secret that a data directory of this machine holds. */
export type MeshAccess = MemberOptions &
  (
    | { readonly invite: string; readonly directory?: never }
    | {
        /** Where `skein up` or `skein join` ran. */
        readonly directory: string;
        /** Multiaddrs of members to dial, beside those that are found on the local network. Default none. */
        readonly peers?: readonly string[];
        readonly invite?: never;
      }
  );

/**
 * A member with an identity that is kept nowhere: a client must not be mistaken for the peer whose directory it reads. It
 * listens on nothing but loopback. Throws `invalid-request` for an invite that is none, `not-a-member` for a directory
 * without a mesh.
 */
export async function createMeshTransport(access: MeshAccess): Promise<MeshTransport> {
  const { secret, peers } = access.invite === undefined ? await fromDirectory(access) : fromInvite(access.invite);
  const { name, mdns, logger } = access;
  const mesh = await createMesh({
    identity: await createIdentity(),
    secret,
    peers,
    roles: ['client'],
    ...(name !== undefined && { name }),
    ...(mdns !== undefined && { mdns }),
    ...(logger !== undefined && { logger }),
  });
  return new MeshTransport(mesh);
}

function fromInvite(text: string) {
  const { secret, peer, addresses } = decodeInvite(text);
  return {
    secret: new MeshSecret(secret),
    peers: addresses.map((address) => (address.includes('/p2p/') ? address : `${address}/p2p/${peer}`)),
  };
}

async function fromDirectory(access: { readonly directory: string; readonly peers?: readonly string[] }) {
  const secret = await loadMeshSecret(access.directory);
  if (secret !== undefined) return { secret, peers: access.peers ?? [] };
  throw new SkeinError(
    'not-a-member',
    `${access.directory} belongs to no mesh; run \`skein up\` or \`skein join <invite>\` there first`,
  );
}
