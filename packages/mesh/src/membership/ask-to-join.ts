import { hasCode, isolated, joinAnswerSchema, methods, parseHeader, SkeinError, type Invite } from '@skein/protocol';

import { asWarning } from '../as-warning.ts';
import { withPeerId } from '../discovery/addresses.ts';
import type { Identity } from '../identity/identity.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import { pause, throwIfAborted } from '../streams/wait.ts';
import { createTransport } from '../transport/create-transport.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Transport } from '../transport/transport.ts';
import { Membership } from './membership.ts';

export interface JoinOptions {
  readonly identity: Identity;
  readonly invite: Invite;
  /** Name of this machine. */
  readonly name: string;
  readonly signal: AbortSignal;
  /** Called once when somebody has to approve the join. Its errors are shown as warnings; the join goes on. */
  readonly onPending?: () => void;
}

/** Longest request, with its dial, in milliseconds. */
const questionTimeoutMs = 5000;
/**
 * Pauses between questions of a join that waits, in milliseconds. Each is twice the one before: whoever has just been
 * asked often approves within seconds.
 */
const firstPauseMs = 1000;
const longestPauseMs = 10_000;

/**
 * Exchanges an invite for a membership, on an encrypted connection to the one machine that it names. Waits while the
 * join is to be approved.
 *
 * @throws SkeinError `not-a-member` for an invite that is not valid, `peer-lost` when that machine can't be reached;
 * the signal's reason when that aborts
 */
export async function askToJoin(options: JoinOptions): Promise<Membership> {
  const { identity, signal } = options;
  // One of its own: what it dials need not pass our handshake, and it listens to nobody.
  const transport = await createTransport({ privateKey: identity.privateKey, listen: [] });
  await transport.start();
  try {
    let membership = await askOnce(transport, options);
    if (membership === undefined && options.onPending !== undefined) isolated(options.onPending, asWarning)();
    for (let pauseMs = firstPauseMs; membership === undefined; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      await pause(pauseMs, signal);
      throwIfAborted(signal);
      membership = await askAgain(transport, options);
    }
    return membership;
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    await transport.stop();
  }
}

/** Asks for a join that waits. Others behind the same address may have asked as often as is answered: it waits on. */
async function askAgain(transport: Transport, options: JoinOptions): Promise<Membership | undefined> {
  try {
    return await askOnce(transport, options);
  } catch (error) {
    if (hasCode(error, 'overloaded')) return undefined;
    throw error;
  }
}

async function askOnce(transport: Transport, options: JoinOptions): Promise<Membership | undefined> {
  const { invite, name, signal } = options;
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(questionTimeoutMs)]);
  const connection = await reach(transport, options, bounded);
  try {
    // The answer holds a revocation list, which the bound of requests has no room for.
    const stream = new FrameStream(connection.stream, methods.revocations);
    await stream.write({ type: 'join-request', secret: invite.secret, name }, undefined, { signal: bounded });
    const frame = await stream.read({ signal: bounded });
    if (frame === undefined) throw new SkeinError('peer-lost', 'the other end left without an answer');
    const answer = parseHeader(joinAnswerSchema, frame.header);
    if (answer.type === 'join-pending') return undefined;
    const membership = await Membership.open(invite.mesh, answer, { receivedAt: Date.now() });
    if (membership.certificate.peer === transport.peerId) return membership;
    throw new SkeinError('protocol-violation', 'the authority sent a certificate of another machine');
  } finally {
    connection.abort();
  }
}

/**
 * Opens a stream to the machine that an invite names.
 *
 * @throws SkeinError `peer-lost` when it is not there
 */
async function reach(
  transport: Transport,
  { invite }: JoinOptions,
  signal: AbortSignal,
): Promise<{ readonly stream: ByteStream; readonly abort: () => void }> {
  try {
    const addresses = invite.addresses.map((address) => withPeerId(address, invite.peer));
    const connection = await transport.dial(addresses, { signal, force: true });
    const stream = await connection.openStream(methods.join.id, { signal });
    return { stream, abort: () => connection.abort(new SkeinError('aborted', 'the question is answered')) };
  } catch (error) {
    const at = invite.addresses.join(' or ');
    throw new SkeinError('peer-lost', `nobody of the mesh answers at ${at}; is the machine that invited still up?`, {
      cause: error,
    });
  }
}
