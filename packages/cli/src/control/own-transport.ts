import { namedPipes } from './named-pipes.ts';
import type { ControlTransport } from './transport.ts';
import { unixSockets } from './unix-sockets.ts';

/** The transport of this platform. */
export const ownTransport: ControlTransport = process.platform === 'win32' ? namedPipes() : unixSockets;
