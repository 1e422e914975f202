import { Authority, createIdentity, type Identity, type Membership } from '@skein/mesh';

import { decodeKey, encodeKey } from '../../packages/mesh/src/identity/identity.ts';

/** The key of a mesh's authority, as text: members' processes admit themselves with it. */
export type MeshKey = string;

/** Makes the key of a new mesh. */
export async function newMeshKey(): Promise<MeshKey> {
  return Buffer.from(encodeKey(await createIdentity())).toString('hex');
}

/** Makes a new member of this mesh. Returns it with the authority that admitted it. */
export async function enroll(
  key: MeshKey,
): Promise<{ readonly identity: Identity; readonly membership: Membership; readonly authority: Authority }> {
  const authority = await Authority.open({
    key: decodeKey(Buffer.from(key, 'hex'), 'the key of the mesh'),
    save: async () => undefined,
  });
  return { ...(await authority.enroll(['peer', 'coordinator'])), authority };
}
