import { SkeinError } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { ByteStream } from './byte-stream.ts';
import { generatePrivateKey, peerIdOfPrivateKey } from './keys.ts';
import { networks, type TestNetwork } from './testing/networks.ts';
import type { Connection, RemoteEnd, StreamAcceptor, Transport } from './transport.ts';

const protocol = '/compliance/1';
const many = { maxInboundStreams: 100 };
const loopback = '/ip4/127.0.0.1/tcp/0';
const mebibyte = 1024 * 1024;

describe.each(networks)('a transport $name', ({ open: openNetwork }) => {
  let stack: AsyncDisposableStack;
  let network: TestNetwork;
  beforeEach(() => {
    stack = new AsyncDisposableStack();
    network = stack.use(openNetwork());
  });
  afterEach(async () => await stack.disposeAsync());

  async function create(listen: readonly string[] = [loopback]): Promise<Transport> {
    const transport = await network.createTransport({ privateKey: await generatePrivateKey(), listen });
    stack.defer(async () => await transport.stop());
    return transport;
  }

  async function start(listen?: readonly string[]): Promise<Transport> {
    const transport = await create(listen);
    await transport.start();
    return transport;
  }

  /** Resolves with the end of a connection that was dialled. */
  async function farEnd(dialled: Transport, dialler: Transport): Promise<Connection> {
    return await vi.waitUntil(() => dialled.connections(dialler.peerId)[0]);
  }

  /** Two transports and a connection between them, which the left one has dialled. Both are admitted. */
  async function connect(acceptor: StreamAcceptor = () => undefined, limit = many) {
    const [left, right] = [await start(), await start()];
    await right.accept(protocol, limit, acceptor);
    const near = await left.dial(right.addresses());
    const far = await farEnd(right, left);
    left.admit(right.peerId);
    right.admit(left.peerId);
    return { left, right, near, far };
  }

  /** A stream between two transports. */
  async function openPair() {
    const accepted = Promise.withResolvers<ByteStream>();
    const ends = await connect(accepted.resolve);
    const here = await ends.near.openStream(protocol);
    return { ...ends, here, there: await accepted.promise };
  }

  describe('addresses', () => {
    test('names its port and its peer id once it is started', async () => {
      const privateKey = await generatePrivateKey();
      const transport = await network.createTransport({ privateKey, listen: [loopback] });
      stack.defer(async () => await transport.stop());
      expect(transport.addresses()).toEqual([]);
      await transport.start();
      const [address] = transport.addresses();
      expect(transport.peerId).toBe(peerIdOfPrivateKey(privateKey));
      expect(address).toMatch(new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/[1-9]\\d*/p2p/${transport.peerId}$`));
    });

    test('names a wildcard as such, whatever it stands for at the moment', async () => {
      const transport = await create(['/ip4/0.0.0.0/tcp/0']);
      await transport.start();
      expect(transport.addresses()).toEqual([
        expect.stringMatching(new RegExp(`^/ip4/0\\.0\\.0\\.0/tcp/[1-9]\\d*/p2p/${transport.peerId}$`)),
      ]);
    });

    test('refuses to start where another one listens', async () => {
      const first = await start();
      const taken = (first.addresses()[0] ?? '').replace(/\/p2p\/.*/, '');
      const second = await create([taken]);
      await expect(second.start()).rejects.toBeInstanceOf(Error);
    });
  });

  describe('dialling', () => {
    test('shows each end who the other one is', async () => {
      const { left, right, near, far } = await connect();
      expect(near).toMatchObject({ remotePeerId: right.peerId, direction: 'outbound', isOpen: true });
      expect(far).toMatchObject({ remotePeerId: left.peerId, direction: 'inbound', isOpen: true });
      expect([near.remoteHost, far.remoteHost]).toEqual(['127.0.0.1', '127.0.0.1']);
      expect(near.remoteAddress).toContain(right.addresses()[0]?.replace(/\/p2p\/.*/, ''));
    });

    test('connects to nobody but the peer that the address names', async () => {
      const [left, right, other] = [await start(), await start(), await start()];
      const address = (right.addresses()[0] ?? '').replace(right.peerId, other.peerId);
      await expect(left.dial([address])).rejects.toMatchObject({ code: 'peer-lost' });
      expect(left.connections()).toEqual([]);
      expect(right.connections()).toEqual([]);
    });

    test('connects to whoever answers where no peer is named', async () => {
      const [left, right] = [await start([]), await start()];
      const bare = right.addresses().map((address) => address.replace(/\/p2p\/.*/, ''));
      expect((await left.dial(bare)).remotePeerId).toBe(right.peerId);
    });

    test('says that nobody answers, and where', async () => {
      const [left, right] = [await start(), await start()];
      const [address = ''] = right.addresses();
      await right.stop();
      await expect(left.dial([address])).rejects.toMatchObject({
        code: 'peer-lost',
        message: `nobody answers at ${address}`,
        cause: expect.any(Error) as Error,
      });
    });

    test('tries all addresses', async () => {
      const [left, right, gone] = [await start(), await start(), await start()];
      const dead = gone.addresses().map((address) => address.replace(gone.peerId, right.peerId));
      await gone.stop();
      expect((await left.dial([...dead, ...right.addresses()])).remotePeerId).toBe(right.peerId);
    });

    test('does not reach itself', async () => {
      const left = await start();
      await expect(left.dial(left.addresses())).rejects.toMatchObject({ code: 'peer-lost' });
    });

    test('returns the connection that is there, or makes another one beside it', async () => {
      const { left, right, near } = await connect();
      expect(await left.dial(right.addresses())).toBe(near);
      const second = await left.dial(right.addresses(), { force: true });
      expect(second).not.toBe(near);
      await vi.waitFor(() => expect(right.connections(left.peerId)).toHaveLength(2));
      expect(left.connections(right.peerId)).toHaveLength(2);
      expect(left.connections('nobody')).toEqual([]);
    });

    test('tells of each connection once, at both ends, as the object that it stays', async () => {
      const [left, right] = [await start(), await start()];
      const [seenLeft, seenRight]: [Connection[], Connection[]] = [[], []];
      left.onConnection((connection) => seenLeft.push(connection));
      right.onConnection((connection) => seenRight.push(connection));
      const dialled = await left.dial(right.addresses());
      await vi.waitFor(() => expect(seenRight).toHaveLength(1));
      expect(seenLeft).toEqual([dialled]);
      expect(seenLeft[0]).toBe(dialled);
      expect(left.connections()[0]).toBe(dialled);
      await vi.waitFor(() => expect(right.connections()[0]).toBe(seenRight[0]));
    });

    test.each([
      ['the error of who gives it up', () => giveUp(new SkeinError('not-running', 'stopping')), 'not-running'],
      ['`aborted` where that has none', () => giveUp(undefined), 'aborted'],
      ['`deadline-exceeded`', () => AbortSignal.timeout(50), 'deadline-exceeded'],
      ['at once when it is given up before', () => AbortSignal.abort(), 'aborted'],
    ])('ends with %s when nobody ever answers', async (_, signal, code) => {
      const left = await start();
      const silent = await network.listenSilently();
      await expect(left.dial([silent], { signal: signal() })).rejects.toMatchObject({ code });
    });
  });

  describe('streams', () => {
    test('carry bytes both ways, of any length', async () => {
      const { here, there } = await openPair();
      const sent = Uint8Array.from({ length: 3 * mebibyte }, (_, index) => index % 251);
      const [, received] = await Promise.all([here.write(sent).then(() => here.end()), readAll(there)]);
      expect(Buffer.compare(received, sent)).toBe(0);
      const [, answered] = await Promise.all([there.write(received).then(() => there.end()), readAll(here)]);
      expect(Buffer.compare(answered, sent)).toBe(0);
    });

    test('are ended one way at a time, and are over when both are', async () => {
      const { here, there } = await openPair();
      await here.write(Uint8Array.of(1));
      await here.end();
      await expect(here.write(Uint8Array.of(2))).rejects.toMatchObject({ code: 'peer-lost' });
      expect(await there.read()).toSatisfy(holds(1));
      expect(await there.read()).toBeUndefined();
      await there.write(Uint8Array.of(3));
      expect(await here.read()).toSatisfy(holds(3));
      await there.end();
      expect(await here.read()).toBeUndefined();
      await Promise.all([here.closed, there.closed]);
      expect([here.lost.aborted, there.lost.aborted]).toEqual([false, false]);
    });

    test('that one end aborts are lost at the other, and leave the connection alone', async () => {
      const { near, here, there } = await openPair();
      await here.write(Uint8Array.of(1));
      await there.read();
      const waiting = there.read();
      const reason = new SkeinError('overloaded', 'enough');
      here.abort(reason);
      await expect(waiting).rejects.toMatchObject({ code: 'peer-lost' });
      await expect(here.read()).rejects.toBe(reason);
      await expect(here.write(Uint8Array.of(1))).rejects.toBe(reason);
      await expect(there.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'peer-lost' });
      await Promise.all([here.closed, there.closed]);
      expect([here.lost.aborted, there.lost.aborted]).toEqual([true, true]);
      expect(near.isOpen).toBe(true);
      await (await near.openStream(protocol)).end();
    });

    test('stay as they are when they are aborted after their end', async () => {
      const { here, there } = await openPair();
      await Promise.all([here.end(), there.end()]);
      expect(await Promise.all([here.read(), there.read()])).toEqual([undefined, undefined]);
      await Promise.all([here.closed, there.closed]);
      for (const stream of [here, there]) stream.abort();
      expect([here.lost.aborted, there.lost.aborted]).toEqual([false, false]);
      expect(await here.read()).toBeUndefined();
    });

    test('lose nothing when a read is given up or takes too long', async () => {
      const { here, there } = await openPair();
      await expect(there.read({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'deadline-exceeded' });
      const own = new SkeinError('not-running', 'stopping');
      await expect(there.read({ signal: AbortSignal.abort(own) })).rejects.toBe(own);
      await here.write(Uint8Array.of(1));
      expect(await there.read()).toSatisfy(holds(1));
    });

    test('make a writer wait while nobody reads, and deliver all in the end', async () => {
      const { here, there } = await openPair();
      const chunk = new Uint8Array(256 * 1024);
      let written = 0;
      const stalled = async (): Promise<void> => {
        for (;;) {
          await here.write(chunk, { timeoutMs: 500 });
          written += chunk.byteLength;
        }
      };
      await expect(stalled()).rejects.toMatchObject({ code: 'deadline-exceeded' });
      // The last piece is queued though its wait was given up.
      written += chunk.byteLength;
      expect(written).toBeLessThan(4 * mebibyte);
      expect(here.unsentBytes).toBeLessThan(mebibyte);
      const [, received] = await Promise.all([here.end(), readAll(there)]);
      expect(received.byteLength).toBe(written);
      expect(here.unsentBytes).toBe(0);
    });

    test('of a protocol that the other end does not accept fail', async () => {
      const { near } = await connect();
      const attempt = async (): Promise<unknown> => await (await near.openStream('/unknown/1')).read();
      await expect(attempt()).rejects.toMatchObject({ code: 'peer-lost' });
      expect(near.isOpen).toBe(true);
    });

    test('over the limit of their protocol are reset, and the others go on', async () => {
      const accepted: ByteStream[] = [];
      const { near, far } = await connect((stream) => accepted.push(stream), { maxInboundStreams: 2 });
      const streams = [await near.openStream(protocol), await near.openStream(protocol)];
      await vi.waitFor(() => expect(accepted).toHaveLength(2));
      const attempt = async (): Promise<unknown> => await (await near.openStream(protocol)).read();
      await expect(attempt()).rejects.toMatchObject({ code: 'peer-lost' });
      expect(accepted).toHaveLength(2);
      await streams[0]?.write(Uint8Array.of(1));
      expect(await accepted[0]?.read()).toSatisfy(holds(1));
      // Each that is over makes room for another one.
      streams[1]?.abort();
      await vi.waitFor(() => expect(far.protocols()).toHaveLength(1));
      await near.openStream(protocol);
      await vi.waitFor(() => expect(accepted).toHaveLength(3));
    });

    test('show by their protocols while they are open', async () => {
      const { near, far, here } = await openPair();
      expect([near.protocols(), far.protocols()]).toEqual([[protocol], [protocol]]);
      here.abort();
      await vi.waitFor(() => expect([near.protocols(), far.protocols()]).toEqual([[], []]));
    });

    test('are not opened once that is given up', async () => {
      const { near } = await connect();
      const own = new SkeinError('not-running', 'stopping');
      await expect(near.openStream(protocol, { signal: AbortSignal.abort(own) })).rejects.toBe(own);
      expect(near.protocols()).toEqual([]);
    });
  });

  describe('the end of a connection', () => {
    test('ends what waits on its streams, and says why at the end that wanted it', async () => {
      const { left, right, near, far, here, there } = await openPair();
      const reason = new SkeinError('overloaded', 'enough');
      const [readingHere, readingThere] = [here.read(), there.read()];
      near.abort(reason);
      await expect(readingHere).rejects.toMatchObject({ code: 'peer-lost', cause: reason });
      await expect(readingThere).rejects.toMatchObject({ code: 'peer-lost' });
      await Promise.all([near.closed, far.closed, here.closed, there.closed]);
      expect([near.isOpen, far.isOpen]).toEqual([false, false]);
      await vi.waitFor(() => expect([...left.connections(), ...right.connections()]).toEqual([]));
      await expect(near.openStream(protocol)).rejects.toMatchObject({ code: 'peer-lost' });
    });

    test('comes with the end of its transport', async () => {
      const { right, near, far } = await connect();
      await right.stop();
      await Promise.all([near.closed, far.closed]);
      expect([near.isOpen, far.isOpen]).toEqual([false, false]);
    });
  });

  describe('what comes in', () => {
    const chunk = new Uint8Array(10_000);

    test('is counted over all connections of a remote, for as long as there is one', async () => {
      const { left, right, near, far } = await connect();
      const second = await left.dial(right.addresses(), { force: true });
      for (const connection of [near, second]) {
        const before = right.receivedBytes(left.peerId);
        const stream = await connection.openStream(protocol);
        await stream.write(new Uint8Array(100_000));
        await vi.waitFor(() => expect(right.receivedBytes(left.peerId) - before).toBeGreaterThanOrEqual(100_000));
      }
      near.abort(new Error('one is over'));
      await far.closed;
      expect(right.receivedBytes(left.peerId)).toBeGreaterThanOrEqual(200_000);
      second.abort(new Error('the other one is over'));
      await vi.waitFor(() => expect(right.receivedBytes(left.peerId)).toBe(0));
    });

    test.each([
      ['who dialled', 'left', 100_000],
      ['who was dialled', 'right', 3_000_000],
    ] as const)('cuts %s off when it is much, and the remote is not admitted', async (_, sender, bytes) => {
      const [left, right] = [await start(), await start()];
      const [from, to] = sender === 'left' ? [left, right] : [right, left];
      const floods: RemoteEnd[] = [];
      to.onFlood((remote) => floods.push(remote));
      await to.accept(protocol, many, (stream) => void readAll(stream).catch(() => undefined));
      await left.dial(right.addresses());
      const connection = await farEnd(from, to);
      const stream = await connection.openStream(protocol);
      await stream.write(chunk);
      await vi.waitFor(() => expect(to.receivedBytes(from.peerId)).toBeGreaterThanOrEqual(chunk.byteLength));
      expect(floods).toEqual([]);
      const flood = async (): Promise<void> => {
        for (let sent = chunk.byteLength; sent < bytes; sent += chunk.byteLength) await stream.write(chunk);
      };
      await flood().catch(() => undefined);
      await connection.closed;
      expect(floods).toEqual([{ peerId: from.peerId, host: '127.0.0.1' }]);
    });

    test('may be as much as it likes from one that is admitted', async () => {
      const received = Promise.withResolvers<Uint8Array>();
      const { near } = await connect((stream) => received.resolve(readAll(stream)));
      const stream = await near.openStream(protocol);
      await stream.write(new Uint8Array(4 * mebibyte));
      await stream.end();
      expect((await received.promise).byteLength).toBe(4 * mebibyte);
      expect(near.isOpen).toBe(true);
    });
  });
});

/** Whether a piece is one byte, this one. Pieces are of whatever class their transport makes. */
function holds(byte: number): (piece: Uint8Array | undefined) => boolean {
  return (piece) => piece?.byteLength === 1 && piece[0] === byte;
}

/** Reads to the clean end. */
async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let chunk = await stream.read(); chunk !== undefined; chunk = await stream.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A signal that is aborted a moment later. */
function giveUp(reason: SkeinError | undefined): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 20);
  return controller.signal;
}
