import { MeshSecret, type MeshOptions } from '@skein/mesh';

/** How members get into the mesh is known here alone. It passes to their processes as text. */
export type Membership = string;

/** A new mesh. */
export function newMembership(): Membership {
  return Buffer.from(MeshSecret.generate().reveal()).toString('hex');
}

/** What makes a member one of this mesh. */
export function membershipOptions(membership: Membership): Pick<MeshOptions, 'secret'> {
  return { secret: new MeshSecret(Buffer.from(membership, 'hex')) };
}
