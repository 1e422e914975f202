import { Authority, createIdentity, type Identity, type Membership } from '@skein/mesh';

import { decodeKey, encodeKey } from '../../packages/mesh/src/identity/identity.ts';

/** The key of a mesh's authority, as text: members' processes let themselves in with it. */
export type MeshKey = string;

/** A new mesh. */
export async function newMeshKey(): Promise<MeshKey> {
  return Buffer.from(encodeKey(await createIdentity())).toString('hex');
}

/** A new member of this mesh, and the authority that let it in. */
export async function enroll(
  key: MeshKey,
): Promise<{ readonly identity: Identity; readonly membership: Membership; readonly authority: Authority }> {
  const authority = await Authority.open({
    key: decodeKey(Buffer.from(key, 'hex'), 'the key of the mesh'),
    save: async () => undefined,
  });
  return { ...(await authority.enroll(['peer', 'coordinator'])), authority };
}
