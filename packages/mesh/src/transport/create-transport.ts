import type { Transport, TransportOptions } from './transport.ts';

/**
 * Creates the transport of members: TCP, with Noise and Yamux. Nothing is listened on before it is started. Loads libp2p
 * when it is called, since that takes most of the time in which a command starts, and most commands dial nobody.
 */
export async function createTransport(options: TransportOptions): Promise<Transport> {
  const { createLibp2pTransport } = await import('./libp2p/libp2p-transport.ts');
  return await createLibp2pTransport(options);
}
