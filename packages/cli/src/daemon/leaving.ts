import { loadAuthority, loadMembership, type KeyOptions, type Mesh } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

const move = 'move it to another machine first with `skein authority export <file> --file-passphrase <path> --remove`';

/**
 * Checks that this machine may leave its mesh.
 *
 * @throws SkeinError `invalid-request` when it holds the authority: nobody could join any more
 */
export function assertCanLeave({ authority }: Pick<Mesh, 'authority'>, directory: string): void {
  if (authority === undefined) return;
  throw new SkeinError(
    'invalid-request',
    `this machine holds the authority, without which nobody could join any more; ${move}, or end the mesh: stop Skein here and delete ${directory}`,
  );
}

/**
 * Checks that a directory belongs to this mesh or to none.
 *
 * @throws SkeinError `invalid-request` when it belongs to another mesh
 */
export async function assertOfNoOther(
  directory: string,
  { mesh, passphrase }: KeyOptions & { readonly mesh: string },
): Promise<void> {
  const known = await loadMembership(directory);
  if (known === undefined || known.mesh === mesh) return;
  const ways = 'use another directory with --data, or delete this one with all that is in it';
  throw new SkeinError(
    'invalid-request',
    (await loadAuthority(directory, { passphrase })) === undefined
      ? `${directory} belongs to another mesh; leave that one with \`skein leave\`, ${ways}`
      : `${directory} holds the authority of another mesh; to keep that mesh, ${move}; else ${ways}`,
  );
}
