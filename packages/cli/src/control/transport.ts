import { once } from 'node:events';
import type { Server } from 'node:http';
import { createConnection, type Socket } from 'node:net';

import { hasCode } from '@skein/protocol';

/** A way for commands to reach the daemon of a data directory, and for one daemon to claim it. */
export interface ControlTransport {
  /**
   * Has a server take the connections that come at a path, until the result is disposed of; undefined when the path is
   * taken, be it by somebody who is gone. Throws the system's error.
   */
  readonly listen: (server: Server, path: string) => Promise<AsyncDisposable | undefined>;
  /** Connects to the daemon at a path; undefined when there is none. Throws the system's error. */
  readonly dial: (path: string) => Promise<Socket | undefined>;
}

/** Codes of the system for a place at which nobody listens: it is missing, a left-over socket, or something else. */
const nobody: readonly string[] = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'];

/** Connects to a socket or pipe; undefined when nobody listens there. Throws the system's error. */
export async function connect(address: string): Promise<Socket | undefined> {
  const socket = createConnection(address);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    socket.destroy();
    if (nobody.some((code) => hasCode(error, code))) return undefined;
    throw error;
  }
}
