import { randomBytes } from 'node:crypto';

import {
  gateAnswerSchema,
  gateChallengeSchema,
  gateHelloSchema,
  gateProofSchema,
  parseHeader,
  SkeinError,
} from '@skein/protocol';
import type { z } from 'zod';

import type { FrameStream } from '../streams/frame-stream.ts';
import type { MeshSecret } from '../identity/mesh-secret.ts';
import { gateProof, isSameProof, type GateTranscript } from './proof.ts';

const nonceBytes = 32;

/** One run of the gate on one connection. */
export interface GateRun {
  readonly stream: FrameStream;
  readonly secret: MeshSecret;
  readonly ownPeerId: string;
  readonly remotePeerId: string;
  /** Bounds the whole run. */
  readonly signal: AbortSignal;
  /** Called as soon as the remote has proved itself, which is before it can send anything that relies on it. */
  readonly onRemoteProven: () => void;
}

/** The dialling side. Throws `not-a-member` when the other end doesn't know the secret, or doesn't accept that we do. */
export async function knock(run: GateRun): Promise<void> {
  const { stream, secret, signal } = run;
  const initiatorNonce = randomBytes(nonceBytes);
  await stream.write({ type: 'gate-hello', nonce: initiatorNonce }, undefined, { signal });
  const challenge = await expectFrame(run, gateChallengeSchema);
  const transcript: GateTranscript = {
    initiator: run.ownPeerId,
    responder: run.remotePeerId,
    initiatorNonce,
    responderNonce: challenge.nonce,
  };
  if (!isSameProof(gateProof(secret, 'responder', transcript), challenge.proof)) throw wrongSecret();
  run.onRemoteProven();
  await stream.write({ type: 'gate-proof', proof: gateProof(secret, 'initiator', transcript) }, undefined, { signal });
  await expectFrame(run, gateAnswerSchema);
  await stream.end({ signal });
}

/** The dialled side. Throws `not-a-member` when the other end doesn't know the secret. */
export async function answerKnock(run: GateRun): Promise<void> {
  const { stream, secret, signal } = run;
  const hello = await expectFrame(run, gateHelloSchema);
  const transcript: GateTranscript = {
    initiator: run.remotePeerId,
    responder: run.ownPeerId,
    initiatorNonce: hello.nonce,
    responderNonce: randomBytes(nonceBytes),
  };
  const proof = gateProof(secret, 'responder', transcript);
  await stream.write({ type: 'gate-challenge', nonce: transcript.responderNonce, proof }, undefined, { signal });
  const answer = await expectFrame(run, gateProofSchema);
  if (!isSameProof(gateProof(secret, 'initiator', transcript), answer.proof)) throw wrongSecret();
  run.onRemoteProven();
  await stream.write({ type: 'gate-open' }, undefined, { signal });
  await stream.end({ signal });
}

async function expectFrame<Schema extends z.ZodType>(run: GateRun, schema: Schema): Promise<z.output<Schema>> {
  const frame = await run.stream.read({ signal: run.signal });
  if (frame === undefined) throw new SkeinError('not-a-member', 'the other end left in the middle of the gate');
  return parseHeader(schema, frame.header);
}

function wrongSecret(): SkeinError {
  return new SkeinError('not-a-member', 'the other end belongs to another mesh; join it with a current invite');
}
