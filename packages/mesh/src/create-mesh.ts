import { silentLogger, SkeinError } from '@skein/protocol';

import { loadIdentity, type Identity } from './identity/identity.ts';
import type { Authority } from './membership/authority.ts';
import { keepMembership, loadAuthority, loadMembership } from './membership/membership-files.ts';
import type { Membership } from './membership/membership.ts';
import { roleBeyond } from './membership/role-beyond.ts';
import { isAnnounceable, ownAddresses } from './discovery/addresses.ts';
import { Member } from './member.ts';
import type { Mesh } from './mesh.ts';
import { peerIdOf } from './transport/addresses.ts';
import { createTransport } from './transport/create-transport.ts';
import { defaultListen, defaultName, type MeshOptions } from './options.ts';

/**
 * Creates a member. Opens nothing before it is started.
 *
 * @throws SkeinError `not-a-member` where the directory belongs to no mesh, or its certificate is not valid any more;
 * `not-permitted` for a role that the certificate does not give; `invalid-request` for an address that can't be announced
 */
export async function createMesh(options: MeshOptions): Promise<Mesh> {
  const { identity, membership, authority, kept }: Origin =
    options.directory === undefined ? options : await fromDirectory(options);
  membership.assertOwnGood();
  const missing = roleBeyond(membership.certificate, options.roles);
  if (missing !== undefined) {
    const fix = `get another invite with \`skein invite --role ${missing}\` and join again`;
    throw new SkeinError('not-permitted', `this machine was not let in as a ${missing}; ${fix}`);
  }
  const { listen = defaultListen, interfaces, announce } = options;
  const isOther = (address: string): boolean => (peerIdOf(address) ?? identity.peerId) !== identity.peerId;
  const wrong = announce?.find((address) => address !== ownAddresses && (!isAnnounceable(address) || isOther(address)));
  if (wrong !== undefined) {
    const example = '/ip4/192.168.1.20/tcp/7330';
    throw new SkeinError(
      'invalid-request',
      `${wrong} can't be announced; name an IP address and a port of this machine, like ${example}`,
    );
  }
  return await Member.create({
    transport: await createTransport({ privateKey: identity.privateKey, listen }),
    identity,
    membership,
    authority,
    kept: kept ?? (async () => undefined),
    listen,
    peers: options.peers ?? [],
    mdns: options.mdns ?? true,
    interfaces,
    announce,
    liveness: options.liveness ?? 'lan',
    logger: options.logger ?? silentLogger,
    onDenial: options.onDenial ?? (() => undefined),
    content: {
      roles: [...options.roles],
      name: options.name ?? defaultName(),
      software: options.software ?? 'skein',
      addresses: [],
      models: [],
      stages: [],
      ...(authority !== undefined && { authority: true }),
    },
  });
}

interface Origin {
  readonly identity: Identity;
  readonly membership: Membership;
  readonly authority?: Authority | undefined;
  /** Waits until all changes of the membership are saved. */
  readonly kept?: () => Promise<void>;
}

async function fromDirectory(options: MeshOptions & { readonly directory: string }): Promise<Origin> {
  const { directory, passphrase, logger = silentLogger } = options;
  const membership = await loadMembership(directory);
  if (membership === undefined) {
    throw new SkeinError(
      'not-a-member',
      `${directory} belongs to no mesh; run \`skein up\` or \`skein join <invite>\` there first`,
    );
  }
  const kept = keepMembership(directory, { membership, logger });
  const [identity, authority] = [
    await loadIdentity(directory, { passphrase }),
    await loadAuthority(directory, { passphrase }),
  ];
  return { identity, membership, authority, kept };
}
