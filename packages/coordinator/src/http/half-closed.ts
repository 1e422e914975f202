import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * First pause between two probes of a client, in milliseconds: short, since most silent clients are gone. Later ones
 * are longer.
 */
const firstPauseMs = 10;
const longestPauseMs = 1000;

/**
 * Makes a server answer clients that close their half of the connection once they have sent their request. One that is
 * gone altogether looks the same at first. So it sends both, until the answer is sent, bytes that no client minds: the
 * system of one that is gone refuses them, its connection breaks, and its request ends as any other whose client goes
 * away.
 */
export function answerHalfClosed(server: Server): void {
  // Node's own switch for this, which its types lack. Without it, the end of the request ends the connection.
  Object.assign(server, { httpAllowHalfOpen: true });
  const bySocket = new WeakMap<Socket, Set<ServerResponse>>();
  server.prependListener('request', ({ socket }: IncomingMessage, outgoing: ServerResponse) => {
    // A client may send more requests before earlier ones are answered.
    const unanswered = bySocket.get(socket) ?? new Set();
    if (!bySocket.has(socket)) socket.once('end', () => onEnd(socket, unanswered));
    bySocket.set(socket, unanswered.add(outgoing));
    outgoing.once('close', () => unanswered.delete(outgoing));
  });
}

function onEnd(socket: Socket, unanswered: ReadonlySet<ServerResponse>): void {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  for (const outgoing of unanswered) {
    // Such a client does not know the answer that says nothing.
    if (outgoing.req.httpVersion === '1.0') socket.destroy();
    else void askUntilOver(outgoing, gone.signal);
  }
}

async function askUntilOver(outgoing: ServerResponse, gone: AbortSignal): Promise<void> {
  const answered = new AbortController();
  outgoing.once('close', () => answered.abort());
  const signal = AbortSignal.any([answered.signal, gone]);
  try {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      if (!outgoing.headersSent) outgoing.writeContinue();
      // Streams of events are the only answers that have headers before they have all else. This is a comment in one.
      else if (!outgoing.writableEnded) outgoing.write(':\n\n');
      await delay(pauseMs, undefined, { ref: false, signal });
    }
  } catch {
    // It is over.
  }
}
