import { cardSignatureContext, encodeValue, methods, type Card } from '@skein/protocol';

import { FrameStream } from '../../packages/mesh/src/streams/frame-stream.ts';
import { createLibp2pTransport } from '../../packages/mesh/src/transport/libp2p/libp2p-transport.ts';
import { enroll, type MeshKey } from '../detection/membership.ts';

const heartbeatMs = 2000;

/** The times of one connection, in milliseconds. */
export interface Connected extends AsyncDisposable {
  /** Time until Noise and Yamux are done. */
  readonly dialMs: number;
  /** Time from there until both certificates have been shown. */
  readonly handshakeMs: number;
  /** Bytes of both frames of admission. */
  readonly handshakeBytes: number;
}

/**
 * Starts a member that is only a connection: it shows its certificate, and sends its card as members do, except for
 * passing on others'.
 *
 * @param options.membersSeen how many others it is connected to, by its card. Default: it sends no card
 */
export async function startSimulatedPeer(
  key: MeshKey,
  { address, membersSeen }: { readonly address: string; readonly membersSeen?: number },
): Promise<Connected> {
  const { identity, membership } = await enroll(key);
  await using stack = new AsyncDisposableStack();
  const transport = await createLibp2pTransport({ privateKey: identity.privateKey, listen: [] });
  await transport.start();
  stack.defer(async () => await transport.stop());
  const startedAt = performance.now();
  const connection = await transport.dial([address], { force: true });
  transport.admit(connection.remotePeerId);
  const dialledAt = performance.now();
  let handshakeBytes = 0;
  const handshake = new FrameStream(await connection.openStream(methods.handshake.id), {
    ...methods.handshake,
    meter: { sent: (bytes) => (handshakeBytes += bytes), received: (bytes) => (handshakeBytes += bytes) },
  });
  const { certificate } = membership.credentials;
  await handshake.write({ type: 'handshake-hello', certificate, revocations: membership.revocations.version });
  await handshake.read();
  const admittedAt = performance.now();
  if (membersSeen !== undefined) {
    const stream = new FrameStream(await connection.openStream(methods.card.id), methods.card);
    const send = async (): Promise<void> => {
      const card: Card = {
        peer: identity.peerId,
        version: Date.now(),
        roles: ['peer'],
        name: identity.peerId.slice(-6),
        software: 'skein/0.1.0',
        connected: membersSeen,
        addresses: ['/ip4/127.0.0.1/tcp/7330'],
        models: [],
        stages: [],
      };
      const payload = encodeValue(card);
      const signature = await identity.privateKey.sign(Buffer.concat([Buffer.from(cardSignatureContext), payload]));
      await stream.write({ type: 'card', signature, certificate }, payload);
    };
    await send();
    const timer = setInterval(() => void send(), heartbeatMs);
    stack.defer(() => clearInterval(timer));
    void (async () => {
      for await (const _ of stream);
    })().catch(() => undefined);
  }
  const running = stack.move();
  return {
    dialMs: dialledAt - startedAt,
    handshakeMs: admittedAt - dialledAt,
    handshakeBytes,
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
