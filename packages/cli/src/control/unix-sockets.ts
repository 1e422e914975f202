import { once } from 'node:events';

import { hasCode } from '@skein/protocol';

import { connect, type ControlTransport } from './transport.ts';

/** Unix sockets: the permissions of their directory keep others away. */
export const unixSockets: ControlTransport = {
  dial: connect,
  async listen(server, path) {
    server.listen(path);
    try {
      await once(server, 'listening');
    } catch (error) {
      if (hasCode(error, 'EADDRINUSE')) return undefined;
      throw error;
    }
    // Removes the socket, too. Open connections are left to themselves.
    return { [Symbol.asyncDispose]: async () => void server.close() };
  },
};
