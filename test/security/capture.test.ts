import { packPrompt } from '@skein/protocol';
import { generate } from '@skein/serving';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { startCluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

/** Records what crosses loopback on some TCP ports; undefined where this machine does not allow it. */
async function startCapture(file: string, ports: readonly string[]) {
  const filter = ports.map((port) => `tcp port ${port}`).join(' or ');
  const child = spawn('tcpdump', ['-i', 'lo', '-U', '-s', '0', '-w', file, filter], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const listening = new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('exit', () => resolve(false));
    child.stderr.setEncoding('utf8').on('data', (text: string) => text.includes('listening on') && resolve(true));
  });
  if (!(await listening)) return undefined;
  return {
    async stop(): Promise<Buffer> {
      child.kill('SIGINT');
      await once(child, 'exit');
      return readFile(file);
    },
  };
}

it('lets nobody on the network read prompt or answer', async ({ skip }) => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-capture-'));
  await using model = await tinyModelFile();
  await using cluster = await startCluster({ peers: 2, models: [model.path] });
  const members = [cluster.coordinatorMesh, ...cluster.peers.map(({ mesh }) => mesh)];
  const ports = members.flatMap((mesh) => mesh.addresses().map((address) => /\/tcp\/(\d+)/.exec(address)?.[1] ?? ''));
  const capture = await startCapture(join(directory, 'mesh.pcap'), ports);
  if (capture === undefined) return skip('capturing needs tcpdump and root');

  const [held] = await (cluster.peers[0]?.store.list() ?? []);
  const { id, stages } = await cluster.coordinator.deployments.deploy({ model: held?.model ?? '', stages: 2 });
  const prompt = 'the password of the harbour office is herring';
  let answer = '';
  const request = {
    deployment: id,
    prompt: packPrompt({ type: 'text', text: prompt }),
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
    maxTokens: 48,
    stop: [],
  };
  // From the peer that is not the lead, so that prompt and answer cross the network, too.
  for await (const event of generate(cluster.coordinatorMesh, stages[0]?.peer ?? '', request)) {
    if (event.type === 'text-delta') answer += event.text;
  }
  const captured = await capture.stop();
  await rm(directory, { recursive: true });

  // The hidden states alone are 48 rows and more: an empty capture proves nothing.
  expect(captured.byteLength).toBeGreaterThan(20_000);
  expect(answer.length).toBeGreaterThan(8);
  for (const secret of [prompt, 'password', 'herring', answer, answer.slice(0, 8)]) {
    expect(captured.includes(secret), `the capture holds ${JSON.stringify(secret)}`).toBe(false);
  }
  return undefined;
});
