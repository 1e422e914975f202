/** Default port at which members are dialled. It is fixed, so that invites survive a restart. */
export const defaultMeshPort = 7330;

const thisMachine = /^\/(ip4\/127\.|ip6\/::1\/|dns[46]?\/localhost\/)/;

/** Default multiaddrs of `skein up`: on this machine only, until its owner lets others in. */
export const defaultListenUp: readonly string[] = [`/ip4/127.0.0.1/tcp/${defaultMeshPort}`];

/**
 * Returns the default multiaddrs of a machine that joins, since members dial each other: on this machine only when the
 * invite comes from this machine; else on every network, at the mesh port.
 */
export function defaultListenJoin(inviteAddresses: readonly string[]): readonly string[] {
  if (inviteAddresses.every((address) => thisMachine.test(address))) return ['/ip4/127.0.0.1/tcp/0'];
  return [`/ip4/0.0.0.0/tcp/${defaultMeshPort}`];
}

/** Tells whether others can reach a machine that listens there. */
export function isReachable(listen: readonly string[]): boolean {
  return listen.some((address) => !thisMachine.test(address));
}
