import type { ConnectionGater, Listener, Startable } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { createLibp2p, type Libp2p } from 'libp2p';

import { toLibp2pKey } from '../keys.ts';
import type { TransportOptions } from '../transport.ts';
import { PendingInbound } from './pending-inbound.ts';
import { quickNoise } from './quick-noise.ts';
import { sparingYamux } from './sparing-yamux.ts';

/**
 * Window of a stream, in bytes. Yamux's own default (16 MiB) exceeds a stream's 4 MiB read buffer, so a paused stream
 * would be reset. Small windows also keep control streams quick beside bulk transfers, and still fill a gigabit link.
 */
const streamWindowBytes = 256 * 1024;

/**
 * Most inbound connections before their handshake is done, which takes 3 s at most: of all hosts together. That of one
 * follows.
 */
const maxPendingConnections = 256;
const maxPendingConnectionsPerHost = 16;

/** An observer of each connection whose other end has proved its peer id, before anything is done with it. */
export type ProvenConnectionObserver = (
  ...given: Parameters<NonNullable<ConnectionGater['denyOutboundEncryptedConnection']>>
) => void;

/** A libp2p node that shows its listeners, in the order of the addresses that it was told to listen on. */
export type Host = Libp2p<{ listeners: () => readonly Listener[]; quickEnd: Startable }>;

/**
 * Makes a libp2p node, not started: TCP, Noise and Yamux, and nothing that dials on its own or leaves the mesh (no relay,
 * hole punching, DHT or public bootstrap).
 */
export async function createHost(
  { privateKey, listen }: TransportOptions,
  onProven?: ProvenConnectionObserver,
): Promise<Host> {
  const pending = new PendingInbound({ maxPerHost: maxPendingConnectionsPerHost });
  const letIn: NonNullable<ConnectionGater['denyOutboundEncryptedConnection']> = (...given) => {
    onProven?.(...given);
    return false;
  };
  return await createLibp2p({
    start: false,
    privateKey: toLibp2pKey(privateKey),
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [quickNoise()],
    streamMuxers: [
      sparingYamux({
        streamOptions: { initialStreamWindowSize: streamWindowBytes, maxStreamWindowSize: streamWindowBytes },
      }),
    ],
    connectionManager: {
      maxConnections: 512,
      // libp2p's defaults (5 a second, 10 pending) stall a mesh whose members all start at once.
      inboundConnectionThreshold: 50,
      maxIncomingPendingConnections: maxPendingConnections,
      addressDialTimeout: 2000,
      dialTimeout: 5000,
      inboundUpgradeTimeout: 3000,
      inboundStreamProtocolNegotiationTimeout: 5000,
      outboundStreamProtocolNegotiationTimeout: 5000,
      // Our dialer decides when to dial again.
      reconnectRetries: 0,
    },
    connectionGater: {
      denyInboundConnection: pending.denyInboundConnection,
      denyInboundUpgradedConnection: pending.denyInboundUpgradedConnection,
      denyInboundEncryptedConnection: letIn,
      denyOutboundEncryptedConnection: letIn,
    },
    services: {
      listeners:
        ({ transportManager }) =>
        () =>
          transportManager.getListeners(),
      quickEnd: ({ addressManager }) => endOfUpdates(addressManager),
    },
    // A backstop behind the heartbeats of members. Much shorter, and bulk transfers would look like death.
    connectionMonitor: { pingInterval: 10_000 },
  });
}

/**
 * Makes a service that ends libp2p's update of the own addresses, which waits for a second after a listener was closed:
 * nobody reads them by then, and the timer would keep the process running.
 */
function endOfUpdates(addressManager: object): Startable {
  const { _updatePeerStoreAddresses: updates } = addressManager as { _updatePeerStoreAddresses: { stop(): void } };
  return { start: () => undefined, stop: () => undefined, afterStop: () => updates.stop() };
}
