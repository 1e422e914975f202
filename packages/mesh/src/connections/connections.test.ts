import { methods, silentLogger } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { MemberAdmission } from '../admission/member-admission.ts';
import { createIdentity, type Identity } from '../identity/identity.ts';
import { Authority } from '../membership/authority.ts';
import { networks, type TestNetwork } from '../transport/testing/networks.ts';
import type { Connection } from '../transport/transport.ts';
import { Connections } from './connections.ts';

let stack: AsyncDisposableStack;
let authority: Authority;
let network: TestNetwork;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  authority = await Authority.open({ key: await createIdentity(), save: async () => undefined });
});
afterEach(async () => await stack.disposeAsync());

/** A transport with admission and its connections, and nothing that uses them. */
async function start() {
  const { identity, membership } = await authority.enroll(['peer']);
  const { privateKey } = identity;
  const transport = await network.createTransport({ privateKey, listen: ['/ip4/127.0.0.1/tcp/0'] });
  stack.defer(async () => await transport.stop());
  const admission = new MemberAdmission({ transport, membership, logger: silentLogger, onDenied: () => undefined });
  await admission.install();
  const used: Connection[] = [];
  const lost = vi.fn<(peerId: string) => void>();
  const connections = new Connections(
    { transport, admission },
    { onUse: (connection) => used.push(connection), onPeerLost: lost },
  );
  await transport.start();
  const addresses = transport.addresses();
  const dial = async (to: { addresses: readonly string[] }) =>
    await connections.dial(to.addresses, { signal: AbortSignal.timeout(5000) });
  return { identity, transport, connections, used, lost, addresses, dial };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Two of them, the one with the lesser peer id first. */
async function startTwo(): Promise<[lesser: Started, greater: Started]> {
  const [one, other] = await Promise.all([start(), start()]);
  return idOf(one) < idOf(other) ? [one, other] : [other, one];
}

function idOf({ identity }: { readonly identity: Identity }): string {
  return identity.peerId;
}

async function untilConnections(counts: readonly [Started, number][]): Promise<void> {
  for (const [{ transport }, count] of counts) {
    await vi.waitFor(() => expect(transport.connections()).toHaveLength(count));
  }
}

/** As the seconds that pass between two looks do it. */
function dropDuplicates(...members: readonly Started[]): void {
  for (let time = 0; time < 2; time += 1) for (const { connections } of members) connections.dropDuplicates();
}

describe.each(networks)('$name', ({ open }) => {
  beforeEach(() => {
    network = stack.use(open());
  });

  test('of two members that dial each other at once both keep the connection that the lesser one dialled', async () => {
    const [lesser, greater] = await startTwo();
    await Promise.all([lesser.dial(greater), greater.dial(lesser)]);
    await vi.waitFor(() => expect(lesser.connections.get(idOf(greater))?.direction).toBe('outbound'));
    await vi.waitFor(() => expect(greater.connections.get(idOf(lesser))?.direction).toBe('inbound'));
    // The other end may be about to use the one that goes.
    for (const { connections } of [lesser, greater]) connections.dropDuplicates();
    await untilConnections([
      [lesser, 2],
      [greater, 2],
    ]);
    dropDuplicates(lesser, greater);
    await untilConnections([
      [lesser, 1],
      [greater, 1],
    ]);
    expect(lesser.connections.get(idOf(greater))?.direction).toBe('outbound');
    expect(greater.connections.get(idOf(lesser))?.direction).toBe('inbound');
    expect([lesser.used.at(-1)?.direction, greater.used.at(-1)?.direction]).toEqual(['outbound', 'inbound']);
    expect([lesser.lost, greater.lost].map(({ mock }) => mock.calls)).toEqual([[], []]);
  });

  test('a connection that something runs on is kept until that is over, and nothing new is opened on it', async () => {
    const [lesser, greater] = await startTwo();
    await lesser.transport.accept(methods.generate.id, { maxInboundStreams: 1 }, () => undefined);
    const older = await greater.dial(lesser);
    const running = await older.openStream(methods.generate.id);
    // As if it had begun to dial before the other one was there.
    const newer = await lesser.connections.dial(greater.addresses, { signal: AbortSignal.timeout(5000), force: true });
    await untilConnections([
      [lesser, 2],
      [greater, 2],
    ]);
    await vi.waitFor(() => expect(greater.connections.get(idOf(lesser))?.direction).toBe('inbound'));
    expect(lesser.connections.get(idOf(greater))).toBe(newer);
    dropDuplicates(greater);
    expect([older.isOpen, running.lost.aborted]).toEqual([true, false]);

    running.abort(new Error('it is over'));
    dropDuplicates(greater);
    await untilConnections([
      [lesser, 1],
      [greater, 1],
    ]);
    expect(lesser.connections.get(idOf(greater))).toBe(newer);
    expect([lesser.lost, greater.lost].map(({ mock }) => mock.calls)).toEqual([[], []]);
  });

  test('one for bulk is no duplicate, and not what is used for the rest, whoever dialled it', async () => {
    const [lesser, greater] = await startTwo();
    const main = await greater.dial(lesser);
    const bulk = await lesser.connections.bulk(idOf(greater), greater.addresses);
    await vi.waitFor(() => expect(lesser.connections.get(idOf(greater))).toBeDefined());
    dropDuplicates(lesser, greater);
    expect([main.isOpen, bulk.isOpen]).toEqual([true, true]);
    expect(lesser.connections.get(idOf(greater))).not.toBe(bulk);
    expect(greater.connections.get(idOf(lesser))).toBe(main);

    // Where it is all that is left it is used.
    main.abort(new Error('cut'));
    await vi.waitFor(() => expect(lesser.connections.get(idOf(greater))).toBe(bulk));
    expect(greater.lost).not.toHaveBeenCalled();
  });
});
