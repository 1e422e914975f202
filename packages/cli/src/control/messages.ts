import { cardSchema, peerIdSchema } from '@skein/protocol';
import { z } from 'zod';

const byteCount = z.number().int().nonnegative();
const trafficSchema = z.object({ sentBytes: byteCount, receivedBytes: byteCount });

/** What a command asks the daemon of its data directory. One request a connection. */
export const controlRequestSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('status') }),
  /** Answered with a new invite, when the daemon can be dialled. */
  z.object({ type: z.literal('invite') }),
  /** The model store has changed: answered when the mesh has been told what it holds now. */
  z.object({ type: z.literal('announce-models') }),
  /** Answered at once; the connection ends when the daemon's process is gone. */
  z.object({ type: z.literal('stop') }),
]);
export type ControlRequest = z.infer<typeof controlRequestSchema>;

export const daemonStatusSchema = z.object({
  type: z.literal('daemon-status'),
  pid: z.number().int().positive(),
  /** This member's peer id. */
  peer: peerIdSchema,
  /** Of the HTTP API, when this machine coordinates. */
  url: z.string().optional(),
  startedAtMs: z.number().int().positive(),
  /** Bytes that crossed the network since then, all of them encrypted. */
  traffic: z.object({ total: trafficSchema, peers: z.record(z.string(), trafficSchema) }),
  /** The mesh as this member sees it, itself included. */
  cards: z.array(cardSchema),
});
export type DaemonStatus = z.infer<typeof daemonStatusSchema>;

export const inviteAnswerSchema = z.object({ type: z.literal('daemon-invite'), invite: z.string() });
export const announceAnswerSchema = z.object({ type: z.literal('daemon-announced') });
export const stopAnswerSchema = z.object({ type: z.literal('daemon-stopping'), pid: z.number().int().positive() });
