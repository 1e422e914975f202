import type { Membership } from '@skein/mesh';

/** Default port at which members are dialled. It is fixed, so that invites survive a restart. */
export const defaultMeshPort = 7330;

const thisMachine = /^\/(ip4\/127\.|ip6\/::1\/|dns[46]?\/localhost\/)/;
const linkLocalIpv6 = /^\/ip6\/fe[89ab]/i;

/** Multiaddr of every network, at the mesh port. */
export const everywhere = `/ip4/0.0.0.0/tcp/${defaultMeshPort}`;

/** Default multiaddrs of `skein up` where it makes a mesh: on this machine only, until its owner lets others in. */
export const defaultListenUp: readonly string[] = [`/ip4/127.0.0.1/tcp/${defaultMeshPort}`];

/** Ways in which its owner says that others reach this machine. */
interface Ways {
  readonly announce?: readonly string[] | undefined;
  readonly interface?: readonly string[] | undefined;
}

/**
 * Chooses the default multiaddrs of `skein up`: on every network where its owner says how others reach it, and as
 * `skein join` does where this machine joined.
 */
export function chooseListenUp(
  given: Ways & {
    /** The membership that the directory has already. */
    readonly membership: Pick<Membership, 'certificate' | 'revocations'> | undefined;
    readonly members: readonly string[];
  },
): readonly string[] {
  const { membership, members } = given;
  if (saysHow(given)) return [everywhere];
  const hasJoined = membership !== undefined && membership.revocations.holder !== membership.certificate.peer;
  return hasJoined && !isOnThisMachine(members) ? [everywhere] : defaultListenUp;
}

/**
 * Chooses the default multiaddrs of a machine that joins, since members dial each other: on this machine only when the
 * members that it knows are on this machine, and its owner does not say how others reach it; else on every network, at
 * the mesh port.
 */
export function chooseListenJoin(given: Ways & { readonly members: readonly string[] }): readonly string[] {
  return isOnThisMachine(given.members) && !saysHow(given) ? ['/ip4/127.0.0.1/tcp/0'] : [everywhere];
}

function saysHow({ announce, interface: named }: Ways): boolean {
  return announce !== undefined || named !== undefined;
}

/** Tells whether all multiaddrs are of this machine alone. */
export function isOnThisMachine(addresses: readonly string[]): boolean {
  return addresses.every((address) => thisMachine.test(address));
}

/** Tells whether other machines can dial one of these multiaddrs. A link-local IPv6 address names no network to them. */
export function isReachable(addresses: readonly string[]): boolean {
  return addresses.some((address) => !thisMachine.test(address) && !linkLocalIpv6.test(address));
}
