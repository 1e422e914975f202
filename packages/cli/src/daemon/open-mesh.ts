import {
  loadAuthority,
  loadIdentity,
  loadMembership,
  loadOrCreateAuthority,
  saveMembership,
  type KeyOptions,
  type Membership,
} from '@skein/mesh';

/**
 * Makes a mesh in a data directory, with this machine as its first member, unless the directory belongs to one. A
 * machine that holds the authority gives itself the roles that it needs.
 */
export async function openOrCreateMesh(
  directory: string,
  { name, passphrase }: KeyOptions & { readonly name: string },
): Promise<void> {
  const membership = await loadMembership(directory);
  const held = await loadAuthority(directory, { passphrase });
  if (membership !== undefined && (held === undefined || coordinates(membership))) return;
  const authority = held ?? (await loadOrCreateAuthority(directory, { passphrase }));
  const { peerId } = await loadIdentity(directory, { passphrase });
  await saveMembership(directory, await authority.admit(peerId, { roles: ['coordinator', 'peer'], name }));
}

function coordinates({ certificate, problem }: Membership): boolean {
  return problem === undefined && certificate.roles.includes('coordinator');
}
