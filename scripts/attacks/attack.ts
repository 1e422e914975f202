import type { Authority } from '@skein/mesh';
import type { Card } from '@skein/protocol';

/** The target of an attack: a running mesh whose insides the attack may arrange, but not use. */
export interface Target {
  /** Authority of the mesh, to prepare things that an attacker might have got hold of: old certificates, used invites. */
  readonly authority: Authority;
  /** The member under attack, which holds the authority and coordinates. */
  readonly peerId: string;
  /** Multiaddrs with its peer id. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** Peer id of another member, which attackers pretend to be. */
  readonly victim: string;
  /** Multiaddrs of that member, which serves, with its peer id. */
  readonly servingAddresses: readonly string[];
  /** Returns the members that the member under attack sees. */
  members(): readonly Card[];
  readonly signal: AbortSignal;
}

/** One attempt to get in, or to do something that is not allowed. */
export interface Attack {
  readonly name: string;
  /**
   * Pattern that the log of the mesh must contain. Left out where nothing reaches it that could be told from a lost
   * connection.
   */
  readonly logged?: RegExp;
  /** Makes the attempt. Resolves when it was refused; throws when it succeeded. */
  run(target: Target): Promise<void>;
}

/**
 * Checks that a promise is rejected with one of these codes, as the mesh refuses.
 *
 * @throws Error when it resolves, or is rejected with another code
 */
export async function expectRefusal(promise: Promise<unknown>, ...codes: readonly string[]): Promise<void> {
  let answer: unknown;
  try {
    answer = await promise;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (codes.includes(code)) return;
    throw new Error(`refused with ${code}, not with ${codes.join(' or ')}`, { cause: error });
  }
  throw new Error(`not refused, but answered: ${JSON.stringify(answer)?.slice(0, 200)}`);
}
