import type { Socket } from 'node:net';

import {
  encodeFrame,
  FrameParser,
  fromWireError,
  isSkeinError,
  parseHeader,
  SkeinError,
  streamErrorSchema,
} from '@skein/protocol';

/** Commands are small; a status with many cards is the largest. */
const maxFrameBytes = 32 * 1024 * 1024;

export function writeFrame(socket: Socket, header: object): void {
  socket.write(encodeFrame(header));
}

/**
 * The header of the next frame. Throws the error that the other side sent, `peer-lost` when it went away first. Reads one
 * frame; the connection's commands need no more.
 */
export async function readHeader(socket: Socket): Promise<unknown> {
  const parser = new FrameParser({ maxFrameBytes });
  try {
    // Not destroyed at the end: the answer goes out on it, or its end is waited for.
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      const [frame] = parser.push(chunk as Uint8Array);
      if (frame === undefined) continue;
      const failure = streamErrorSchema.safeParse(frame.header);
      if (failure.success) throw fromWireError(parseHeader(streamErrorSchema, frame.header).error);
      return frame.header;
    }
  } catch (error) {
    if (isSkeinError(error)) throw error;
    throw new SkeinError('peer-lost', 'the daemon went away; try again', { cause: error });
  }
  throw new SkeinError('peer-lost', 'the daemon went away; try again');
}
