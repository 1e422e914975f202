/**
 * The one in whose name a request is made: a program on this machine, or a member of the mesh. Requests are shared out
 * between principals, and recorded by them.
 */
export type Principal = { readonly type: 'local' } | { readonly type: 'member'; readonly peer: string };

/** A program on this machine, which needs no key. */
export const localPrincipal: Principal = { type: 'local' };

/** Returns a principal's name in records, unlike that of any other: `local`, or a member's peer id. */
export function principalName(principal: Principal): string {
  return principal.type === 'local' ? 'local' : principal.peer;
}
