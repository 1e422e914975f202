import {
  handshakeHelloSchema,
  handshakeWelcomeSchema,
  parseHeader,
  SkeinError,
  type Certificate,
} from '@skein/protocol';
import type { z } from 'zod';

import type { Membership } from '../membership/membership.ts';
import type { FrameStream } from '../streams/frame-stream.ts';

/** One handshake on one connection. */
export interface HandshakeRun {
  readonly stream: FrameStream;
  readonly membership: Membership;
  /** Peer id of the other end, as Noise has proved it. */
  readonly remotePeerId: string;
  /** Whether the dialling side has another connection already; the dialled one is told. */
  readonly isExtra: boolean;
  /** Signal that bounds the whole handshake. */
  readonly signal: AbortSignal;
  /** Called as soon as the remote's certificate is found good, which is before it can send anything that relies on it. */
  readonly onAdmitted: (remote: AdmittedRemote) => void;
}

export interface AdmittedRemote {
  readonly certificate: Certificate;
  /** Version of the revocation list that it knows. */
  readonly revocations: number;
  /** Whether the connection was dialled beside another one: the regular messages of members stay off it. */
  readonly isExtra: boolean;
}

/**
 * Runs the handshake on the dialling side.
 *
 * @throws SkeinError `not-a-member`, with the reason, when either certificate is found wanting
 */
export async function beginHandshake(run: HandshakeRun): Promise<void> {
  const { stream, signal, isExtra } = run;
  await stream.write(
    { type: 'handshake-hello', ...introduction(run), ...(isExtra ? { extra: true } : {}) },
    undefined,
    {
      signal,
    },
  );
  await admit(run, handshakeWelcomeSchema);
  await stream.end({ signal });
}

/**
 * Runs the handshake on the dialled side.
 *
 * @throws SkeinError `not-a-member` when the other's certificate is found wanting
 */
export async function answerHandshake(run: HandshakeRun): Promise<void> {
  const { stream, signal } = run;
  await admit(run, handshakeHelloSchema);
  await stream.write({ type: 'handshake-welcome', ...introduction(run) }, undefined, { signal });
  await stream.end({ signal });
}

function introduction({ membership }: HandshakeRun): object {
  const { certificate } = membership.credentials;
  return { certificate, revocations: membership.revocations.version };
}

async function admit(
  run: HandshakeRun,
  schema: typeof handshakeHelloSchema | typeof handshakeWelcomeSchema,
): Promise<void> {
  const { stream, membership, remotePeerId, signal } = run;
  // At most the other end's word on our certificate.
  const frame = await stream
    .read({ signal })
    .catch((error: unknown) => Promise.reject(membership.explainRefusal(error)));
  if (frame === undefined) throw new SkeinError('not-a-member', 'the other end left in the middle of the handshake');
  const { certificate, revocations, ...rest }: z.output<typeof schema> = parseHeader(schema, frame.header);
  const isExtra = run.isExtra || ('extra' in rest && rest.extra === true);
  run.onAdmitted({ certificate: await membership.verify(certificate, remotePeerId), revocations, isExtra });
}
