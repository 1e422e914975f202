import { methods, type Method, type Role, type Signed } from '@skein/protocol';

import { createIdentity, type Identity } from '../../packages/mesh/src/identity/identity.ts';
import { FrameStream } from '../../packages/mesh/src/streams/frame-stream.ts';
import type { ByteStream } from '../../packages/mesh/src/transport/byte-stream.ts';
import { createLibp2pTransport } from '../../packages/mesh/src/transport/libp2p/libp2p-transport.ts';
import type { Target } from './attack.ts';

/** An end of the network that keeps to none of our rules. */
export interface Attacker extends AsyncDisposable {
  readonly identity: Identity;
  /** Opens a stream of any method, admitted or not. */
  open(method: Method): Promise<FrameStream>;
  /** Opens such a stream without frames. */
  openBytes(method: Method): Promise<ByteStream>;
  /** Shows a certificate, as for admission. Resolves with the answer's header. */
  show(certificate: Signed): Promise<unknown>;
  /** Tells whether its connection is still open. */
  readonly isConnected: () => boolean;
}

/**
 * Starts an attacker with a connection to the target.
 *
 * @param identity default: a new one
 */
export async function startAttacker(target: Target, identity?: Identity): Promise<Attacker> {
  const own = identity ?? (await createIdentity());
  const transport = await createLibp2pTransport({ privateKey: own.privateKey, listen: [] });
  await transport.start();
  const signal = AbortSignal.any([target.signal, AbortSignal.timeout(5000)]);
  const connection = await transport.dial(target.addresses, { force: true, signal });
  // The target is not cut off, whatever it sends.
  transport.admit(connection.remotePeerId);
  const openBytes = async (method: Method): Promise<ByteStream> =>
    await connection.openStream(method.id, { signal: AbortSignal.timeout(5000) });
  const open = async (method: Method): Promise<FrameStream> =>
    new FrameStream(await openBytes(method), { maxFrameBytes: 2 ** 24 });
  return {
    identity: own,
    open,
    openBytes,
    async show(certificate) {
      const stream = await open(methods.handshake);
      await stream.write({ type: 'handshake-hello', certificate, revocations: Number.MAX_SAFE_INTEGER });
      return (await stream.read({ timeoutMs: 5000 }))?.header;
    },
    isConnected: () => connection.isOpen,
    [Symbol.asyncDispose]: async () => await transport.stop(),
  };
}

/** Starts a member whose program was replaced by the attacker's: admitted, with a good certificate. */
export async function startHostileMember(
  target: Target,
  roles: readonly Role[],
): Promise<Attacker & { readonly certificate: Signed }> {
  const { identity, membership } = await target.authority.enroll(roles);
  const attacker = await startAttacker(target, identity);
  const { certificate } = membership.credentials;
  const welcome = await attacker.show(certificate);
  if (welcome === undefined) throw new Error('a good certificate was not let in');
  return { ...attacker, certificate };
}

/** Sends one request on a stream of its own, and returns the answer's header. */
export async function ask(attacker: Attacker, method: Method, request: object): Promise<unknown> {
  const stream = await attacker.open(method);
  await stream.write(request);
  const frame = await stream.read({ timeoutMs: 5000 });
  return frame?.header ?? 'the stream ended';
}
