import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { packPrompt, silentLogger } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { detectHardware } from '../../hardware/detect.ts';
import type { GpuOptions } from '../../hardware/gpu-options.ts';
import { createManifest, ensureStageFile, fileSectionSource } from '../../stage-file/index.ts';
import { wholeModelLoad } from '../test-support/whole-model-load.ts';
import { EngineProcess } from './engine-process.ts';
import { eventsIn } from './test-support/events-in.ts';

/**
 * A GPU backend, proved on Mesa's software Vulkan device. llama.cpp skips devices that are CPUs unless one is named, which
 * the variable does. On machines without the driver these tests skip.
 */
let directory: string;
let hasVulkan = false;

beforeAll(async () => {
  vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0');
  directory = await mkdtemp(join(tmpdir(), 'skein-gpu-'));
  hasVulkan = await detectHardware('vulkan').then(
    () => true,
    () => false,
  );
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

async function tinyEngine(options: GpuOptions = {}): Promise<EngineProcess> {
  const file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const { manifest } = await createManifest({ file, name: 'tiny' });
  const block = { from: 0, to: manifest.shape.layers };
  const source = fileSectionSource(file);
  // Cut as a whole: the same path that a peer without the model takes.
  const { path } = await ensureStageFile({ manifest, block, kind: 'stage', source, directory });
  return EngineProcess.start({
    logger: silentLogger,
    load: wholeModelLoad(manifest, {
      libraryDirectory: await libraryDirectory('vulkan'),
      file: path,
      contextTokens: 256,
      sequences: 1,
      gpu: { backend: 'vulkan', options },
    }),
  });
}

describe('the vulkan backend', () => {
  it('is what detection chooses where it has a device', async ({ skip }) => {
    if (!hasVulkan) return skip('no Vulkan driver: install mesa-vulkan-drivers');
    const detected = await detectHardware('auto');
    expect(detected).toMatchObject({ backend: 'vulkan' });
    expect(detected.gpus[0]?.memoryBytes).toBeGreaterThan(0);
    return undefined;
  });

  it('takes all layers when they fit, and generates', async ({ skip }) => {
    if (!hasVulkan) return skip('no Vulkan driver: install mesa-vulkan-drivers');
    await using engine = await tinyEngine();
    expect(engine.placement).toMatchObject({ backend: 'vulkan', cpuLayers: 0, fallbacks: [] });
    expect(engine.placement.devices).toHaveLength(1);
    expect(engine.placement.devices[0]?.layers).toBeGreaterThan(0);
    const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
    const prompt = packPrompt({ type: 'text', text: 'once upon a time' });
    const events = await Array.fromAsync(eventsIn(engine.generate({ prompt, sampling, maxTokens: 8, stop: [] })));
    expect(events.at(-1)).toMatchObject({ type: 'generation-end' });
    return undefined;
    // The software device waits for its threads by spinning, which takes many times as long beside another test.
  }, 240_000);

  it('refuses a GPU that there is not, and names it', async ({ skip }) => {
    if (!hasVulkan) return skip('no Vulkan driver: install mesa-vulkan-drivers');
    const refusal = { code: 'engine-incompatible', message: expect.stringContaining('there is no GPU 3') as string };
    await expect(detectHardware('vulkan', { gpuOptions: { gpus: [3] } })).rejects.toMatchObject(refusal);
    await expect(tinyEngine({ gpus: [3] })).rejects.toMatchObject(refusal);
    return undefined;
  });

  it('that was asked for but has no device is refused with the fix', async () => {
    vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '99');
    await expect(detectHardware('vulkan')).rejects.toMatchObject({
      code: 'engine-incompatible',
      message: expect.stringContaining('--backend') as string,
    });
    vi.stubEnv('GGML_VK_VISIBLE_DEVICES', '0');
  });
});
