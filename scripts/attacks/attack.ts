import type { Authority } from '@skein/mesh';

/** What an attack has in front of it: a running mesh whose insides it may arrange, but not use. */
export interface Target {
  /** To prepare what an attacker might have got hold of: old certificates, used invites. */
  readonly authority: Authority;
  /** The member under attack, which holds the authority and coordinates. */
  readonly peerId: string;
  /** Multiaddrs, with its peer id. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** Another member, whom attackers pretend to be. */
  readonly victim: string;
  /** Names of the members that the member under attack sees. */
  members(): readonly { readonly peer: string; readonly name: string; readonly roles: readonly string[] }[];
  readonly signal: AbortSignal;
}

/** One attempt to get in, or to do what is not allowed. */
export interface Attack {
  readonly name: string;
  /** What the log of the mesh must say of it. Left out where nothing reaches it that could be told from a lost connection. */
  readonly logged?: RegExp;
  /** Resolves when it was refused. Throws when it got what it wanted. */
  run(target: Target): Promise<void>;
}

/** Throws unless a promise is rejected with one of these codes: how the mesh refuses. */
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
