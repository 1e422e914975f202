import { hasCode, methods, SkeinError, type Method } from '@skein/protocol';

import { FrameStream, type StreamLimits } from '../streams/frame-stream.ts';
import type { TrafficMeter } from '../streams/traffic.ts';
import { waitSignal } from '../streams/wait.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection } from '../transport/transport.ts';
import type { Connections } from './connections.ts';

export interface OpenRequest {
  readonly peerId: string;
  /** Name of its machine, for messages. */
  readonly name: string;
  readonly method: Method;
  /** Addresses to dial when there is no connection. */
  readonly addresses: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a stream of a method.
 *
 * @throws SkeinError `peer-lost`, `not-a-member`, `deadline-exceeded` or `aborted`
 */
export async function openStream(
  components: { readonly connections: Connections; readonly meter: TrafficMeter; readonly limits: StreamLimits },
  request: OpenRequest,
): Promise<FrameStream> {
  const { method } = request;
  const timeoutMs = method.openTimeoutMs;
  const signal = waitSignal({ signal: request.signal, timeoutMs }) ?? AbortSignal.timeout(timeoutMs);
  const connection = await connect(components.connections, { ...request, signal });
  const bytes = await openOn(connection, { ...request, signal });
  const { meter, limits } = components;
  const { maxFrameBytes, maxHeaderBytes } = method;
  return new FrameStream(bytes, { maxFrameBytes, maxHeaderBytes, limits, meter });
}

async function openOn(
  connection: Connection,
  { method, name, signal }: OpenRequest & { readonly signal: AbortSignal },
): Promise<ByteStream> {
  try {
    return await connection.openStream(method.id, { signal });
  } catch (error) {
    if (!hasCode(error, 'peer-lost') || signal.aborted) throw error;
    throw new SkeinError('peer-lost', `can't open ${method.id} to ${name}`, { cause: error });
  }
}

async function connect(
  connections: Connections,
  request: OpenRequest & { readonly signal: AbortSignal },
): Promise<Connection> {
  const { peerId, name, addresses, signal } = request;
  const existing = connections.get(peerId);
  // Bulk data gets its own connection where the member can be dialled; over the shared one it still works.
  if (request.method === methods.bytes && existing !== undefined && addresses.length > 0) {
    return await connections.bulk(peerId, addresses).catch(() => existing);
  }
  if (existing !== undefined) return existing;
  if (addresses.length === 0) throw new SkeinError('peer-lost', `${name} is not connected and has no known address`);
  return await connections.dial(addresses, { signal });
}
