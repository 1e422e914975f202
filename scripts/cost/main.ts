import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { median } from '../bench/statistics.ts';
import { newMeshKey } from '../detection/membership.ts';
import { runScript } from '../run-script.ts';
import { heartbeatMs, startSimulatedPeer, type Connected } from './simulated-peer.ts';

const usage = `Measures what membership costs: certificates on a connection, and cards on the wire.
usage: npm run cost [-- --json]
One member runs in a process of its own; the others are simulated, each with a connection and a certificate of its own.
  --json   print one JSON object, and nothing else, on stdout: { connection: { dialMs, handshakeMs, handshakeBytes }, cards: [...] }`;

interface Said {
  readonly addresses: readonly string[];
  readonly cards: number;
  readonly cpuMs: number;
  readonly traffic: { readonly sentBytes: number; readonly receivedBytes: number };
}

const connections = 50;
const sizes = [8, 100];
const measureMs = 10_000;

await runScript({
  usage,
  async run({ json }) {
    const key = await newMeshKey();
    const connection = await measureConnections(key);
    const cards = [];
    for (const members of sizes) cards.push(await measureCards(await newMeshKey(), members));
    process.stdout.write(`${json ? JSON.stringify({ connection, cards }) : describe(connection, cards)}\n`);
    return 0;
  },
});

function describe(
  { dialMs, handshakeMs, handshakeBytes }: Awaited<ReturnType<typeof measureConnections>>,
  cards: readonly Awaited<ReturnType<typeof measureCards>>[],
): string {
  return [
    `a connection: ${dialMs.toFixed(1)} ms for TCP, Noise and Yamux; ${handshakeMs.toFixed(1)} ms and ${handshakeBytes} bytes more for both certificates`,
    ...cards.map(({ members, sent, received, cpu }) => {
      const [out, into] = [sent, received].map((bytes) => (bytes / 1024).toFixed(1));
      return `cards in a mesh of ${members}: a member sends ${out} KiB/s, gets ${into} KiB/s, and computes ${(cpu * 100).toFixed(1)} % of a core`;
    }),
  ].join('\n');
}

async function measureConnections(
  key: string,
): Promise<{ dialMs: number; handshakeMs: number; handshakeBytes: number }> {
  await using member = await startMember(key);
  const measured = [];
  for (let count = 0; count < connections; count += 1) {
    await using peer = await startPaced(key, { address: member.address });
    measured.push(peer);
  }
  return {
    dialMs: median(measured.map(({ dialMs }) => dialMs)),
    handshakeMs: median(measured.map(({ handshakeMs }) => handshakeMs)),
    handshakeBytes: median(measured.map(({ handshakeBytes }) => handshakeBytes)),
  };
}

/** Measures bytes a second and share of a core, of one member among so many that send their cards every two seconds. */
async function measureCards(key: string, members: number) {
  await using stack = new AsyncDisposableStack();
  const member = stack.use(await startMember(key));
  const heard = new Set<string>();
  for (let count = 1; count < members; count += 1) {
    stack.use(await startPaced(key, { address: member.address, members: heard }));
  }
  for (;;) {
    if ((await member.ask()).cards === members) break;
    await delay(100);
  }
  // Until each has told whose cards it gets from themselves.
  await delay(2 * heartbeatMs);
  const before = await member.ask();
  await delay(measureMs);
  const after = await member.ask();
  const perSecond = (from: number, to: number): number => ((to - from) * 1000) / measureMs;
  return {
    members,
    sent: perSecond(before.traffic.sentBytes, after.traffic.sentBytes),
    received: perSecond(before.traffic.receivedBytes, after.traffic.receivedBytes),
    cpu: (after.cpuMs - before.cpuMs) / measureMs,
  };
}

/**
 * Starts a simulated peer. A member takes fifty connections a second from one address, so one that is refused tries
 * again.
 */
async function startPaced(...given: Parameters<typeof startSimulatedPeer>): Promise<Connected> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startSimulatedPeer(...given);
    } catch (error) {
      if (attempt === 10) throw error;
      await delay(500);
    }
  }
}

async function startMember(key: string) {
  const script = fileURLToPath(new URL('member.ts', import.meta.url));
  const child = spawn(process.execPath, [script, key], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Said> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the member has ended');
    return JSON.parse(line.value) as Said;
  };
  const [address = ''] = (await next()).addresses;
  return {
    address,
    ask: async (): Promise<Said> => {
      child.stdin.write('\n');
      return await next();
    },
    [Symbol.asyncDispose]: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
    },
  };
}
