import { mkdir, mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  fromText,
  packPrompt,
  plannedSpecSchema,
  silentLogger,
  SkeinError,
  type GenerationEvent,
} from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyModel } from '../../../../../scripts/fixtures/tiny-models.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { createManifest } from '../../stage-file/index.ts';
import type { Generation } from '../lead/lead.ts';
import { EngineProcess } from './engine-process.ts';
import { eventsIn } from './test-support/events-in.ts';

let directory: string;
let file: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-engine-'));
  file = join(directory, 'tiny.gguf');
  await writeTinyModel('llama', file);
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

async function startWhole(
  { contextTokens = 512, ...overrides }: { file?: string; contextTokens?: number } = {},
  stallTimeoutMs = 60_000,
): Promise<EngineProcess> {
  const { manifest } = await createManifest({ file, name: 'tiny' });
  return await EngineProcess.start({
    logger: silentLogger,
    stallTimeoutMs,
    load: {
      libraryDirectory: await libraryDirectory('cpu'),
      file,
      stage: 0,
      stages: 1,
      layers: manifest.shape.layers,
      cacheBytes: 0,
      hiddenTensor: 'l_out',
      hiddenSize: manifest.shape.hiddenSize,
      spec: plannedSpecSchema.parse({ model: manifest.model, contextTokens, sequences: 2 }),
      swapTokens: 0,
      threads: 1,
      ...overrides,
    },
  });
}

const endless: Generation = {
  prompt: packPrompt({ type: 'text', text: 'once upon a time' }),
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
  maxTokens: 400,
  stop: [],
};

function generate(
  engine: EngineProcess,
  generation: Generation,
  options?: { readonly signal: AbortSignal },
): AsyncGenerator<GenerationEvent> {
  return eventsIn(engine.generate(generation, options));
}

/** Reads the first event, lets `action` happen, and returns how the generation ends. */
async function endOf(events: AsyncGenerator<GenerationEvent>, action: () => unknown): Promise<unknown> {
  try {
    await events.next();
    await action();
    for (let next = await events.next(); next.done !== true; next = await events.next())
      if (next.value.type === 'generation-end') return next.value;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A memory cgroup that its members can't grow in; undefined where this machine lets us make none. */
async function starvingCgroup(): Promise<
  { add: (pid: number) => Promise<void>; remove: () => Promise<void> } | undefined
> {
  const name = `skein-test-${process.pid}`;
  for (const [root, limit] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const path = join(root, name);
    try {
      await mkdir(path);
      await writeFile(join(path, limit), '65536');
      return {
        add: async (pid) => await writeFile(join(path, 'cgroup.procs'), String(pid)),
        remove: async () => await rmdir(path),
      };
    } catch {
      await rmdir(path).catch(() => undefined);
    }
  }
  return undefined;
}

describe('an engine process', () => {
  it('generates as many tokens as were asked for, and ends with what was used', async () => {
    await using engine = await startWhole();
    const events = await Array.fromAsync(generate(engine, { ...endless, maxTokens: 5 }));
    expect(events.flatMap((event) => (event.type === 'text-delta' ? event.tokens : []))).toHaveLength(5);
    expect(events.at(-1)).toMatchObject({
      type: 'generation-end',
      finishReason: 'length',
      usage: { completionTokens: 5 },
    });
  });

  it('hands over the answers that others can continue, and computes the rest', async () => {
    await using engine = await startWhole();
    let running = 0;
    engine.onRunning((count) => (running = count));
    const stays = generate(engine, { ...endless, maxTokens: 40 });
    await stays.next();
    const goes = generate(engine, { ...endless, mayHandOver: true });
    const end = await endOf(goes, () => {
      engine.handOver(new SkeinError('handed-over', 'moved'));
      expect(running).toBe(1);
    });
    expect(end).toMatchObject({ code: 'handed-over' });
    expect(await endOf(stays, () => undefined)).toMatchObject({ usage: { completionTokens: 40 } });
    expect(running).toBe(0);
  });

  it('says why llama.cpp refuses a file', async () => {
    const refused = join(directory, 'refused.gguf');
    await writeTinyModel('llama', refused, { metadata: { 'tokenizer.ggml.pre': ['string', 'unheard-of'] } });
    await expect(startWhole({ file: refused })).rejects.toMatchObject({
      code: 'model-invalid',
      message:
        "llama.cpp refuses the model: unknown pre-tokenizer type: 'unheard-of'; choose another file or a newer Skein",
    });
  });

  it('says over which assertion llama.cpp aborted', async () => {
    const absurd = join(directory, 'absurd.gguf');
    await writeTinyModel('llama', absurd, { metadata: { 'llama.block_count': ['uint32', 600] } });
    const failure = await startWhole({ file: absurd }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'stage-lost',
      message: expect.stringMatching(/llama\.cpp aborted: llama-model\.cpp:\d+: GGML_ASSERT/) as string,
    });
    // No debugger has printed its memory, where there is one.
    expect(String((failure as Error).cause)).not.toMatch(/^(#\d+|\[New LWP)/m);
  });

  it.each([
    ['an empty', '', { code: 'invalid-request', message: expect.stringMatching(/no chat template/) as string }],
    ['a broken', '{% for %}', { code: 'model-invalid', message: expect.stringMatching(/does not parse/) as string }],
    [
      'a template that loses messages',
      'Hi!',
      { code: 'model-invalid', message: expect.stringMatching(/leaves out/) as string },
    ],
  ])('with %s chat template refuses conversations and serves plain completions', async (_, template, error) => {
    const odd = join(directory, 'odd.gguf');
    await writeTinyModel('llama', odd, { metadata: { 'tokenizer.chat_template': ['string', template] } });
    await using engine = await startWhole({ file: odd });
    const chat = packPrompt({ type: 'chat', messages: [fromText({ role: 'user', content: 'Wherefore?' })] });
    await expect(Array.fromAsync(generate(engine, { ...endless, prompt: chat }))).rejects.toMatchObject(error);
    const events = await Array.fromAsync(generate(engine, { ...endless, maxTokens: 2 }));
    expect(events.at(-1)).toMatchObject({ type: 'generation-end', usage: { completionTokens: 2 } });
  });

  it('says what the stage takes, as measured after it was loaded', async () => {
    await using engine = await startWhole();
    const { decodeMsPerLayer, prefillMsPerTokenPerLayer, headMs } = engine.speed;
    for (const measuredMs of [decodeMsPerLayer, prefillMsPerTokenPerLayer]) expect(measuredMs).toBeGreaterThan(0);
    // A difference of two measurements: with a vocabulary of 512 tokens it may be nothing.
    expect(headMs).toBeGreaterThanOrEqual(0);
    for (const measuredMs of Object.values(engine.speed)) expect(Number.isFinite(measuredMs)).toBe(true);
  });

  it('that hangs is ended, and its generations with it', async () => {
    await using engine = await startWhole({}, 2000);
    const end = await endOf(generate(engine, endless), () => process.kill(engine.pid ?? 0, 'SIGSTOP'));
    expect(end).toMatchObject({ code: 'stage-lost', message: expect.stringContaining('not answered') as string });
    expect(engine.lost.aborted).toBe(true);
  });

  it('that hangs is ended although requests keep coming, and with it those that wait', async () => {
    await using engine = await startWhole({}, 2000);
    const ends: Promise<unknown>[] = [];
    const ask = (): void => void ends.push(endOf(generate(engine, endless), () => undefined));
    // Arrivals never pause for as long as the watch waits. Some leave again, as clients do.
    const arrivals = setInterval(() => {
      ask();
      void generate(engine, endless, { signal: AbortSignal.timeout(300) })
        .next()
        .catch(() => undefined);
    }, 100);
    try {
      const first = endOf(generate(engine, endless), () => process.kill(engine.pid ?? 0, 'SIGSTOP'));
      expect(await first).toMatchObject({ code: 'stage-lost' });
    } finally {
      clearInterval(arrivals);
    }
    for (const end of await Promise.all(ends)) expect(end).toMatchObject({ code: 'stage-lost' });
  }, 20_000);

  it.each(['SIGKILL', 'SIGABRT', 'SIGSEGV'] as const)(
    'that dies of %s fails its generations and nothing else',
    async (signal) => {
      await using engine = await startWhole();
      await using other = await startWhole();
      const end = await endOf(generate(engine, endless), () => process.kill(engine.pid ?? 0, signal));
      expect(end).toMatchObject({ code: 'stage-lost', retryable: true, details: { signal } });
      expect(engine.lost.aborted).toBe(true);
      expect(await endOf(generate(other, { ...endless, maxTokens: 3 }), () => undefined)).toMatchObject({
        type: 'generation-end',
      });
    },
  );

  it('that the kernel kills for want of memory fails its generations and nothing else', async ({ skip }) => {
    const cgroup = await starvingCgroup();
    if (cgroup === undefined) return skip('this machine lets us make no memory cgroup: root is needed');
    const engine = await startWhole();
    try {
      const end = await endOf(
        generate(engine, { ...endless, prompt: packPrompt({ type: 'text', text: 'word '.repeat(80) }) }),
        () => cgroup.add(engine.pid ?? 0),
      );
      expect(end).toMatchObject({ code: 'stage-lost', details: { signal: 'SIGKILL' } });
    } finally {
      await engine.stop();
      await cgroup.remove();
    }
    return undefined;
  });

  it('frees the sequence of a generation that is left early', async () => {
    await using engine = await startWhole();
    for (let round = 0; round < 6; round += 1) {
      for await (const event of generate(engine, endless)) if (event.type === 'text-delta') break;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    engine.onLoad(() => engine.load.active === 0 && resolve());
    // There are two sequences: the next one would wait for ever, were the ones left still there.
    const events = await Array.fromAsync(generate(engine, { ...endless, maxTokens: 2 }));
    expect(events.at(-1)).toMatchObject({ type: 'generation-end' });
    await promise;
  });

  it('refuses a prompt longer than the context and goes on', async () => {
    await using engine = await startWhole({ contextTokens: 256 });
    const long = generate(engine, {
      ...endless,
      prompt: packPrompt({ type: 'tokens', tokens: Array.from({ length: 300 }, () => 5) }),
    });
    await expect(long.next()).rejects.toMatchObject({ code: 'context-length-exceeded' });
    expect(await endOf(generate(engine, { ...endless, maxTokens: 3 }), () => undefined)).toMatchObject({
      type: 'generation-end',
    });
  });

  it('that can not load its file says so and is gone', async () => {
    const damaged = join(directory, 'damaged.gguf');
    await writeFile(damaged, 'not a model');
    await expect(startWhole({ file: damaged })).rejects.toMatchObject({ code: 'model-invalid' });
  });
});
