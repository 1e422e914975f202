import type { Certificate, Role } from '@skein/protocol';

/**
 * Finds a claimed role that a certificate does not give; undefined when it gives all. Every member may ask as a client
 * does.
 */
export function roleBeyond({ roles }: Pick<Certificate, 'roles'>, claimed: readonly Role[]): Role | undefined {
  return claimed.find((role) => role !== 'client' && !roles.includes(role));
}
