import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Mesh } from '@skein/mesh';
import { limits, methods, packPrompt, type Method } from '@skein/protocol';
import { generate } from '@skein/serving';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startCluster, type Cluster, type ClusterPeer } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

/**
 * Inputs that anyone may send us: each gets a clear error, leaves nothing behind, and everyone is still served
 * afterwards.
 */
let cluster: Cluster;
let peer: ClusterPeer;
let attacker: Mesh;
let model: Awaited<ReturnType<typeof tinyModelFile>>;
let deployment: string;

beforeAll(async () => {
  model = await tinyModelFile();
  cluster = await startCluster({ peers: 2, models: [model.path], contextTokens: 512 });
  const [first] = cluster.peers;
  if (first === undefined) throw new Error('no peer');
  peer = first;
  attacker = await cluster.join(['peer', 'coordinator']);
  const [held] = await peer.store.list();
  ({ id: deployment } = await cluster.coordinator.deployments.deploy({ model: held?.model ?? '', stages: 2 }));
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

async function lead(): Promise<string> {
  return cluster.coordinator.deployments.list()[0]?.stages[0]?.peer ?? '';
}

/** The mesh still serves: a generation through both stages succeeds. */
async function expectServing(): Promise<void> {
  const request = {
    deployment,
    prompt: packPrompt({ type: 'text', text: 'hello' }),
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
    maxTokens: 3,
    stop: [],
  };
  const events = await Array.fromAsync(generate(cluster.coordinatorMesh, await lead(), request));
  expect(events.at(-1)).toMatchObject({ type: 'generation-end' });
}

async function filesOf({ directory }: ClusterPeer): Promise<string[]> {
  return (await readdir(directory, { recursive: true })).toSorted();
}

describe('a bad model file', () => {
  const hostile: [string, (whole: Buffer) => Buffer][] = [
    ['that is cut off in its data', (whole) => whole.subarray(0, whole.length - 5000)],
    ['that is cut off in its header', (whole) => whole.subarray(0, 200)],
    ['that is empty', () => Buffer.alloc(0)],
    ['that is something else', () => Buffer.from('<html>not found</html>'.repeat(100))],
    ['that claims 2^60 tensors', (whole) => withU64(whole, 8, 1n << 60n)],
    ['that claims 2^60 metadata entries', (whole) => withU64(whole, 16, 1n << 60n)],
    ['whose first key claims 2^62 bytes', (whole) => withU64(whole, 24, 1n << 62n)],
  ];

  it.each(hostile)('%s is refused, and nothing of it stays', async (name, damage) => {
    const path = join(model.path, '..', `${name.replaceAll(/\W/g, '-')}.gguf`);
    await writeFile(path, damage(await readFile(model.path)));
    const before = await filesOf(peer);
    const error = await peer.store.pull(path).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'model-invalid' });
    expect((error as Error).message).toMatch(/pull|download|GGUF|choose another file/);
    expect(await filesOf(peer)).toEqual(before);
    await expectServing();
  });
});

function withU64(whole: Buffer, offset: number, value: bigint): Buffer {
  const copy = Buffer.from(whole);
  copy.writeBigUInt64LE(value, offset);
  return copy;
}

describe('a bad request', () => {
  it.each([
    ['no-such-model', 'model-not-found'],
    ['../../etc/passwd', 'model-not-found'],
  ])('for the model %j is refused by name', async (name, code) => {
    await expect(cluster.coordinator.deployments.deploy({ model: name })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/skein (pull|status)/) as string,
    });
  });

  it('for more stages than there are peers is refused with the numbers', async () => {
    const [held] = await peer.store.list();
    await expect(cluster.coordinator.deployments.deploy({ model: held?.model ?? '', stages: 9 })).rejects.toMatchObject(
      {
        message: expect.stringContaining('9') as string,
      },
    );
    await expectServing();
  });

  it('with a prompt longer than the context is refused with both numbers', async () => {
    const tokens = Array.from({ length: 600 }, () => 10);
    const request = { deployment, prompt: packPrompt({ type: 'tokens', tokens }), stop: [] };
    const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
    await expect(Array.fromAsync(generate(attacker, await lead(), { ...request, sampling }))).rejects.toMatchObject({
      code: 'context-length-exceeded',
      message: expect.stringMatching(/600.*512/) as string,
    });
    await expectServing();
  });

  it('with a value out of range is refused and names the field', async () => {
    const request = { deployment, prompt: packPrompt({ type: 'text', text: 'x' }), stop: [] };
    const sampling = { temperature: -1, topP: 1, topK: 0, minP: 0, seed: 0 };
    await expect(Array.fromAsync(generate(attacker, await lead(), { ...request, sampling }))).rejects.toMatchObject({
      code: 'protocol-violation',
      message: expect.stringContaining('temperature') as string,
    });
    await expectServing();
  });
});

describe('a member that', () => {
  it('is not the stage before can not join the ring', async () => {
    await using stream = await attacker.open(await lead(), methods.ring);
    await stream.write({ type: 'ring-open', deployment, stage: 0 });
    await expect(stream.read()).rejects.toMatchObject({ code: 'not-a-member' });
    await expectServing();
  });

  it('asks for millions of impossible tokens is refused at once', async () => {
    const tokens = Array.from({ length: 1_500_000 }, () => -1);
    const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
    const request = { deployment, prompt: packPrompt({ type: 'tokens', tokens }), sampling, stop: [] };
    await expect(Array.fromAsync(generate(attacker, await lead(), request))).rejects.toMatchObject({
      code: 'protocol-violation',
    });
    await expectServing();
  });
});

describe('a member that sends', () => {
  const served = [methods.manifest, methods.bytes, methods.stage, methods.ring, methods.generate, methods.freshCard];

  /** Sends raw bytes as a method's first message and gives what comes back. */
  async function send(method: Method, bytes: Uint8Array): Promise<unknown> {
    const stream = await attacker.open(await lead(), method);
    const raw = stream.detach();
    await raw.write(bytes).catch(() => undefined);
    await raw.end().catch(() => undefined);
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of raw.readable) chunks.push(chunk);
    } catch (error) {
      return error;
    }
    return Buffer.concat(chunks).toString('latin1');
  }

  it.each(served)('a frame over the limit on $id is told so', async (method) => {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, limits.maxFrameBytes + 1, true);
    expect(await send(method, length)).toMatch(/frame-too-large/);
    await expectServing();
  });

  it.each(served)('garbage on $id is told so', async (method) => {
    const garbage = Uint8Array.from({ length: 4096 }, (_, index) =>
      index < 4 ? ([0xfc, 0x0f, 0, 0][index] ?? 0) : (index * 31) % 256,
    );
    expect(await send(method, garbage)).toMatch(/protocol-violation/);
    await expectServing();
  });
});
