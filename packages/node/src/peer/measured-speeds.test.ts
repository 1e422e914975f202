import { mkdtempDisposable, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger, type Hardware, type ModelManifest, type StagePlacement } from '@skein/protocol';
import { expect, test } from 'vitest';

import { MeasuredSpeeds, type MeasuredStage } from './measured-speeds.ts';

const hardware: Hardware = {
  platform: 'linux-x64',
  cpu: 'a processor',
  cores: 4,
  memoryBytes: 8,
  freeMemoryBytes: 4,
  backend: 'cuda',
  gpus: [{ name: 'a GPU', memoryBytes: 8, freeMemoryBytes: 4 }],
};
const onCpu: StagePlacement = { backend: 'cpu', devices: [], cpuLayers: 2, fallbacks: [] };
const onGpu: StagePlacement = {
  backend: 'cuda',
  devices: [{ name: 'a GPU', layers: 2, bytes: 1 }],
  cpuLayers: 0,
  fallbacks: [],
};

/** A model of two layers of so many bytes, with two weights a byte. */
function manifestOf(layerBytes: number): ModelManifest {
  const tensor = (name: string, bytes: number) => ({
    kind: 'tensor' as const,
    name,
    offset: 0,
    bytes,
    sha256: 'a'.repeat(64),
    type: 2,
    shape: [bytes * 2],
  });
  return {
    model: 'a'.repeat(64),
    bytes: 3 * layerBytes,
    name: 'tiny',
    shape: {
      architecture: 'llama',
      layers: 2,
      hiddenSize: 64,
      vocabularySize: 256,
      contextLength: 2048,
      kvBytesPerTokenPerLayer: 256,
      split: { allowed: true, multiple: 1 },
    },
    sections: ['token_embd.weight', 'blk.0.ffn_up.weight', 'blk.1.ffn_up.weight'].map((name) =>
      tensor(name, layerBytes),
    ),
  };
}

function stageOf(layerBytes: number, decodeMsPerLayer: number, placement = onCpu): MeasuredStage {
  const speed = { decodeMsPerLayer, prefillMsPerTokenPerLayer: decodeMsPerLayer / 4, headMs: 1 };
  return {
    manifest: manifestOf(layerBytes),
    block: { from: 0, to: 2 },
    speed,
    placement,
    prefillRows: 16,
    pipeMs: 0.2,
  };
}

test('keeps the speed of each device through a restart, in bytes and operations a second', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-speeds-'));
  const speeds = await MeasuredSpeeds.load(directory.path, silentLogger);
  speeds.record(stageOf(1000, 2), hardware);
  speeds.record(stageOf(1000, 0.5, onGpu), hardware);
  await speeds.settled();
  const again = await MeasuredSpeeds.load(directory.path, silentLogger);
  const layer = { layerBytes: 1000, layerWeights: 2000, prefillRows: 16, head: { ms: 1, weights: 2000 }, pipeMs: 0.2 };
  const cpu = { ...layer, backend: 'cpu', decodeBytesPerSecond: 500_000, prefillFlops: 8_000_000 };
  const gpu = { ...layer, backend: 'cuda', decodeBytesPerSecond: 2_000_000, prefillFlops: 32_000_000 };
  expect(again.describe(hardware)).toEqual({ speeds: [gpu, cpu] });
  expect(again.describe({ ...hardware, gpus: [] })).toEqual({ speeds: [cpu] });
  expect(again.describe({ ...hardware, cpu: 'another', gpus: [] })).toEqual({});
});

test('takes the better of two measurements, and is moved half of the way by a lesser one', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-speeds-'));
  const speeds = await MeasuredSpeeds.load(directory.path, silentLogger);
  const speedAfter = (decodeMsPerLayer: number, layerBytes = 1000) => {
    speeds.record(stageOf(layerBytes, decodeMsPerLayer), hardware);
    return (speeds.describe(hardware).speeds ?? []).map(({ decodeBytesPerSecond }) => decodeBytesPerSecond / 1000);
  };
  expect(speedAfter(2)).toEqual([500]);
  expect(speedAfter(1)).toEqual([1000]);
  expect(speedAfter(2)).toEqual([750]);
  // Nearly the same is the same.
  expect([speedAfter(1.15), speedAfter(1.6)]).toEqual([[750], [750]]);
  // Layers of another size are another measurement.
  expect(speedAfter(10, 8000)).toEqual([800, 750]);
  await speeds.settled();
});

test('learns nothing from a stage that lies on GPUs and in main memory', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-speeds-'));
  const speeds = await MeasuredSpeeds.load(directory.path, silentLogger);
  speeds.record(stageOf(1000, 1, { ...onGpu, cpuLayers: 1 }), hardware);
  speeds.record(stageOf(1000, 1, { ...onGpu, expertLayers: 1 }), hardware);
  speeds.record(stageOf(1000, 0), hardware);
  expect(speeds.describe(hardware)).toEqual({});
});

test('measures anew where the file is damaged, and keeps that aside', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-speeds-'));
  await writeFile(join(directory.path, 'speeds.json'), '{"devices":[{"device":');
  const speeds = await MeasuredSpeeds.load(directory.path, silentLogger);
  expect(speeds.describe(hardware)).toEqual({});
  speeds.record(stageOf(1000, 2), hardware);
  await speeds.settled();
  expect((await MeasuredSpeeds.load(directory.path, silentLogger)).describe(hardware).speeds).toHaveLength(1);
  expect((await readdir(directory.path)).filter((name) => name.includes('.damaged-'))).toHaveLength(1);
});

test('keeps how far replicas have been from their predictions, within bounds', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-speeds-'));
  const speeds = await MeasuredSpeeds.load(directory.path, silentLogger);
  speeds.recordRatio('whole', 0.904, hardware);
  speeds.recordRatio('split', 100, hardware);
  speeds.record(stageOf(1000, 0.5, onGpu), hardware);
  await speeds.settled();
  const again = await MeasuredSpeeds.load(directory.path, silentLogger);
  expect(again.describe(hardware).ratios).toEqual({ whole: 0.9, split: 4 });
  // Another backend on the same machine is another matter.
  expect(again.describe({ ...hardware, backend: 'cpu', gpus: [] }).ratios).toBeUndefined();
});
