import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** Pauses between two questions to a client, in milliseconds: at first short, since most of those that say nothing are gone. */
const firstPauseMs = 10;
const longestPauseMs = 1000;

/**
 * Has a server answer clients that close their half of the connection once they have sent their request. One that is gone
 * altogether looks the same at first. So both are sent what no client minds, until the answer is sent: the system of one
 * that is gone refuses it, its connection breaks, and its request ends as any other whose client goes away.
 */
export function answerHalfClosed(server: Server): void {
  // Node's own switch for this, which its types lack. Without it, the end of the request ends the connection.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.prependListener('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { socket } = incoming;
    const onEnd = (): void => {
      // Such a client does not know the answer that says nothing.
      if (incoming.httpVersion === '1.0') socket.destroy();
      else void askUntilOver(outgoing);
    };
    socket.once('end', onEnd);
    outgoing.once('close', () => socket.off('end', onEnd));
  });
}

async function askUntilOver(outgoing: ServerResponse): Promise<void> {
  const over = new AbortController();
  outgoing.once('close', () => over.abort());
  try {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      if (!outgoing.headersSent) outgoing.writeContinue();
      // Streams of events are the only answers that have headers before they have all else. This is a comment in one.
      else if (!outgoing.writableEnded) outgoing.write(':\n\n');
      await delay(pauseMs, undefined, { ref: false, signal: over.signal });
    }
  } catch {
    // It is over.
  }
}
