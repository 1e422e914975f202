import {
  asSkeinError,
  clientRequestSchema,
  joinRequestSchema,
  leaveRequestSchema,
  methods,
  parseHeader,
  renewRequestSchema,
  SkeinError,
  type JoinAnswer,
  type Logger,
  type Method,
} from '@skein/protocol';

import type { StreamHandler } from '../connections/serve.ts';
import type { FrameStream } from '../streams/frame-stream.ts';
import type { Authority } from './authority.ts';
import { JoinLimits } from './join-limits.ts';
import type { Denial } from './denials.ts';

export interface AuthorityService {
  readonly handle: (method: Method, handler: StreamHandler) => void;
  readonly onDenied: (denial: Omit<Denial, 'count'>) => void;
  readonly logger: Logger;
}

/** Shortest pause between two renewals of one member, in milliseconds: each is written to the disk. */
const renewalPauseMs = 5000;

/** Answers joins, renewals and leaves on the machine that holds the authority. */
export function serveAuthority(authority: Authority, { handle, onDenied, logger }: AuthorityService): void {
  const joins = new JoinLimits();
  const renewedAtMs = new Map<string, number>();

  handle(methods.join, async (stream, { peerId, host = '' }) => {
    try {
      joins.count(host, performance.now());
      const { secret, name } = parseHeader(joinRequestSchema, await firstHeader(stream));
      const credentials = await authority.redeem(secret, { peer: peerId, name, address: host });
      const answer: JoinAnswer =
        credentials === undefined ? { type: 'join-pending' } : { type: 'join-granted', ...credentials };
      logger.info({ peer: peerId, host, name, outcome: answer.type }, 'a machine asked to join');
      await stream.write(answer);
    } catch (error) {
      logger.warn({ peer: peerId, host, error }, 'refused a machine that asked to join');
      onDenied({ reason: asSkeinError(error).code, address: host, peer: peerId });
      throw error;
    }
  });

  handle(methods.renew, async (stream, { peerId }) => {
    parseHeader(renewRequestSchema, await firstHeader(stream));
    const nowMs = performance.now();
    if (nowMs - (renewedAtMs.get(peerId) ?? -Infinity) < renewalPauseMs) {
      throw new SkeinError('overloaded', 'the certificate was renewed a moment ago; try again in some seconds');
    }
    // Programs that ask for an hour are members, too: there is no end of them.
    for (const [other, timeMs] of renewedAtMs) if (nowMs - timeMs >= renewalPauseMs) renewedAtMs.delete(other);
    renewedAtMs.set(peerId, nowMs);
    await stream.write({ type: 'credentials', ...(await authority.renew(peerId)) });
  });

  handle(methods.admitClient, async (stream, { peerId }) => {
    const { peer } = parseHeader(clientRequestSchema, await firstHeader(stream));
    await stream.write({ type: 'credentials', ...(await authority.admitClient(peer, peerId)) });
  });

  handle(methods.leave, async (stream, { peerId }) => {
    parseHeader(leaveRequestSchema, await firstHeader(stream));
    // Answered first: with the revocation the connection is closed.
    await stream.write({ type: 'left' });
    await stream.end();
    await authority.revoke(peerId, 'left');
    logger.info({ peer: peerId }, 'a member has left');
  });
}

async function firstHeader(stream: FrameStream): Promise<unknown> {
  const frame = await stream.read();
  if (frame === undefined) throw new SkeinError('protocol-violation', 'the stream ended before its request');
  return frame.header;
}
