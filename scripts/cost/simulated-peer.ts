import { cardSignatureContext, encodeValue, methods, type Card } from '@skein/protocol';

import { listMembers } from '../../packages/mesh/src/cards/firsthand.ts';
import { FrameStream } from '../../packages/mesh/src/streams/frame-stream.ts';
import { createLibp2pTransport } from '../../packages/mesh/src/transport/libp2p/libp2p-transport.ts';
import { enroll, type MeshKey } from '../detection/membership.ts';

/** Time between two cards, in milliseconds. */
export const heartbeatMs = 2000;

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
 * @param options.members peer ids of the members whose cards it says it gets from themselves, to which it adds its own
 *   once it is admitted. Default: it sends no card
 */
export async function startSimulatedPeer(
  key: MeshKey,
  { address, members }: { readonly address: string; readonly members?: Set<string> },
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
  if (members !== undefined) {
    members.add(identity.peerId);
    let said = 0;
    const stream = new FrameStream(await connection.openStream(methods.card.id), methods.card);
    const send = async (): Promise<void> => {
      const card: Card = {
        peer: identity.peerId,
        version: Date.now(),
        roles: ['peer'],
        name: identity.peerId.slice(-6),
        software: 'skein/0.1.0',
        addresses: ['/ip4/127.0.0.1/tcp/7330'],
        models: [],
        stages: [],
      };
      const payload = encodeValue(card);
      const signature = await identity.privateKey.sign(Buffer.concat([Buffer.from(cardSignatureContext), payload]));
      const news = members.size > said && { firsthand: listMembers(members) };
      said = members.size;
      await stream.write({ type: 'card', signature, certificate, ...news }, payload);
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
