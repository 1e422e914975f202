import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import type { Block, ModelManifest } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { tinyArchitectures, writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { openFileSource, readGgufLayout, type GgufLayout } from '../gguf/index.ts';
import { ensureStageFile, type StageFileRequest } from './cutter.ts';
import { createManifest } from './manifest.ts';
import { fileSectionSource, type SectionSource } from './section-source.ts';
import { planStageFile, sectionsOf } from './sections.ts';

let home: string;
const models = new Map<string, { file: string; manifest: ModelManifest }>();

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'skein-stage-file-'));
  for (const { name } of tinyArchitectures) {
    const file = join(home, `${name}.gguf`);
    await writeTinyModel(name, file);
    models.set(name, { file, manifest: (await createManifest({ file, name })).manifest });
  }
});

afterAll(async () => {
  await rm(home, { recursive: true });
});

function model(name: string) {
  const found = models.get(name);
  if (found === undefined) throw new Error(`no fixture ${name}`);
  return found;
}

async function request(name: string, block: Block, rest: Partial<StageFileRequest> = {}): Promise<StageFileRequest> {
  const { file, manifest } = model(name);
  const directory = await mkdtemp(join(home, 'stages-'));
  return { manifest, block, kind: 'stage', source: fileSectionSource(file), directory, ...rest };
}

async function layoutOf(path: string): Promise<GgufLayout> {
  await using file = await openFileSource(path);
  return await readGgufLayout(file);
}

async function cut(name: string, block: Block, rest: Partial<StageFileRequest> = {}): Promise<GgufLayout> {
  return layoutOf((await ensureStageFile(await request(name, block, rest))).path);
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Lists the contents of a model, wherever in the file they lie. */
function contents({ sections }: ModelManifest): string[] {
  return sections.map(({ name, sha256 }) => `${name} ${sha256}`).sort();
}

function valueOf({ metadata }: GgufLayout, key: string) {
  return metadata.get(key)?.value;
}

describe('createManifest', () => {
  it('describes the model', () => {
    expect(model('gemma3').manifest.shape).toEqual({
      architecture: 'gemma3',
      layers: 14,
      hiddenSize: 96,
      vocabularySize: 338,
      contextLength: 2048,
      // 2 heads of 32 for keys and as much for values, in f16.
      kvBytesPerTokenPerLayer: 256,
      split: { allowed: true, multiple: 6 },
      slidingWindow: { tokens: 8, period: 6 },
    });
  });

  it('counts the experts of a mixture, and none elsewhere', () => {
    expect(model('qwen3moe').manifest.shape.experts?.used).toBe(2);
    expect(model('llama').manifest.shape.experts).toBeUndefined();
  });

  it('gives the hash of the file and of each section', async () => {
    const { file, manifest } = model('llama');
    const content = await readFile(file);
    expect(manifest.model).toBe(hash(content));
    expect(manifest.bytes).toBe(content.byteLength);
    for (const { offset, bytes, sha256 } of manifest.sections) {
      expect(sha256).toBe(hash(content.subarray(offset, offset + bytes)));
    }
  });

  it('stops when aborted', async () => {
    const signal = AbortSignal.abort();
    await expect(createManifest({ file: model('llama').file, name: 'x', signal })).rejects.toThrow(/abort/i);
  });

  it.each(['block_count', 'embedding_length'])('refuses a model whose %s is absurd', async (suffix) => {
    const content = await readFile(model('gemma2').file);
    const key = `gemma2.${suffix}`;
    const valueOffset = content.indexOf(key) + key.length + 4;
    content.writeUInt32LE(0xffff_ffff, valueOffset);
    const file = join(home, `absurd-${suffix}.gguf`);
    await writeFile(file, content);
    await expect(createManifest({ file, name: 'absurd' })).rejects.toMatchObject({ code: 'model-invalid' });
  });

  it('refuses a truncated file with the way out', async () => {
    const { file } = model('llama');
    const short = join(home, 'short.gguf');
    await writeFile(short, (await readFile(file)).subarray(0, 500_000));
    await expect(createManifest({ file: short, name: 'short' })).rejects.toMatchObject({
      code: 'model-invalid',
      message: /truncated.*pull it again/,
    });
  });
});

describe('ensureStageFile', () => {
  it('renumbers layers and leaves the vocabulary out of stages before the tail', async () => {
    const layout = await cut('llama', { from: 2, to: 4 });
    expect(valueOf(layout, 'llama.block_count')).toBe(2);
    expect(valueOf(layout, 'llama.vocab_size')).toBe(1);
    expect(valueOf(layout, 'tokenizer.ggml.model')).toBe('none');
    expect([...layout.metadata.keys()].filter((key) => key.startsWith('tokenizer.'))).toHaveLength(1);
    expect(layout.tensors.get('token_embd.weight')?.shape).toEqual([128, 1]);
    expect(layout.tensors.get('output.weight')?.shape).toEqual([128, 1]);
    expect(layout.tensors.has('rope_freqs.weight')).toBe(true);
    const layers = [...layout.tensors.keys()].map((name) => /^blk\.(\d+)/.exec(name)?.[1]).filter(Boolean);
    expect(new Set(layers)).toEqual(new Set(['0', '1']));
  });

  it('copies tensor data byte for byte', async () => {
    const original = await readFile(model('llama').file);
    const made = await ensureStageFile(await request('llama', { from: 4, to: 6 }));
    const content = await readFile(made.path);
    const { tensors } = await layoutOf(made.path);
    const source = (await layoutOf(model('llama').file)).tensors;
    for (const [stageName, modelName] of [
      ['blk.0.attn_q.weight', 'blk.4.attn_q.weight'],
      ['blk.1.ffn_down.weight', 'blk.5.ffn_down.weight'],
      ['output.weight', 'output.weight'],
    ] as const) {
      const [copied, meant] = [tensors.get(stageName), source.get(modelName)];
      if (copied === undefined || meant === undefined) throw new Error(`${stageName} is missing`);
      const range = original.subarray(meant.offset, meant.offset + meant.bytes);
      expect(content.subarray(copied.offset, copied.offset + copied.bytes).equals(range)).toBe(true);
    }
  });

  it('fetches no token rows for a tail that has its own output matrix', () => {
    const { manifest } = model('llama');
    const names = (block: Block) => sectionsOf(planStageFile(manifest, block, 'stage')).map(({ name }) => name);
    expect(names({ from: 3, to: 6 })).not.toContain('token_embd.weight');
    expect(names({ from: 3, to: 6 })).toContain('output.weight');
    expect(names({ from: 0, to: 3 }).filter((name) => name.startsWith('tokenizer.'))).toEqual([]);
  });

  it('keeps the token rows at the tail where they are the output matrix', async () => {
    const { tensors } = await cut('llama-tied', { from: 3, to: 6 });
    expect(tensors.get('token_embd.weight')).toMatchObject({ type: 1, shape: [128, 338] });
    expect(tensors.has('output.weight')).toBe(false);
  });

  it('writes the period of the sliding windows, from which llama.cpp counts in each stage', async () => {
    const layout = await cut('gemma3', { from: 6, to: 12 });
    expect(valueOf(layout, 'gemma3.attention.sliding_window_pattern')).toBe(6);
  });

  it('leaves the embedding scale to the lead', async () => {
    expect(valueOf(await cut('granite', { from: 0, to: 3 }), 'granite.embedding_scale')).toBe(0);
    expect(valueOf(await cut('granite', { from: 0, to: 6 }), 'granite.embedding_scale')).toBe(12);
  });

  it('makes a front of all metadata and the token rows', async () => {
    const layout = await cut('gemma3', { from: 0, to: 6 }, { kind: 'front' });
    expect([...layout.tensors.keys()]).toEqual(['token_embd.weight']);
    expect(layout.metadata.get('tokenizer.ggml.tokens')?.count).toBe(338);
    expect(valueOf(layout, 'gemma3.block_count')).toBe(14);
  });

  it.each(tinyArchitectures.map(({ name }) => name))('keeps everything of a whole %s', async (name) => {
    const { layers } = model(name).manifest.shape;
    const made = await ensureStageFile(await request(name, { from: 0, to: layers }));
    const { manifest } = await createManifest({ file: made.path, name });
    expect(contents(manifest)).toEqual(contents(model(name).manifest));
  });

  it('uses a file that is there, without its source', async () => {
    const first = await request('qwen3', { from: 0, to: 2 });
    const { path, bytes } = await ensureStageFile(first);
    const gone = { ...first, source: fileSectionSource('/nowhere') };
    expect(await ensureStageFile(gone)).toEqual({ path, bytes, reused: true });
  });

  it('uses a file of the same model under another name', async () => {
    const first = await request('qwen3', { from: 0, to: 2 });
    const { path } = await ensureStageFile(first);
    const renamed = { ...first, manifest: { ...first.manifest, name: 'another name' } };
    expect(await ensureStageFile(renamed)).toMatchObject({ path, reused: true });
  });

  it('does not use a file that another manifest of the same model has left', async () => {
    const honest = await request('qwen3', { from: 0, to: 2 });
    const content = await readFile(model('qwen3').file);
    const liedAbout = honest.manifest.sections.find(({ name }) => name === 'blk.0.ffn_down.weight');
    if (liedAbout === undefined) throw new Error('the fixture has changed');
    content.fill(0, liedAbout.offset, liedAbout.offset + liedAbout.bytes);
    const sections = honest.manifest.sections.map((section) => ({
      ...section,
      sha256: hash(content.subarray(section.offset, section.offset + section.bytes)),
    }));
    const file = join(honest.directory, '..', 'poison.gguf');
    await writeFile(file, content);
    const manifest = { ...honest.manifest, sections };
    const poisoned = await ensureStageFile({ ...honest, manifest, source: fileSectionSource(file) });
    const made = await ensureStageFile(honest);
    expect(made).toMatchObject({ reused: false });
    expect(made.path).not.toBe(poisoned.path);
  });

  it('does not use a file whose manifest swaps the names of two sections', async () => {
    const honest = await request('qwen3', { from: 0, to: 2 });
    const [one, other] = ['blk.0.ffn_down.weight', 'blk.1.ffn_down.weight'];
    const swap = (name: string) => (name === one ? other : one) ?? name;
    const sections = honest.manifest.sections.map((section) =>
      section.name === one || section.name === other ? { ...section, name: swap(section.name) } : section,
    );
    const swapped = await ensureStageFile({ ...honest, manifest: { ...honest.manifest, sections } });
    expect((await ensureStageFile(honest)).path).not.toBe(swapped.path);
  });

  it('cuts a file again that has lost its end', async () => {
    const first = await request('qwen3', { from: 0, to: 2 });
    const { path, bytes } = await ensureStageFile(first);
    await truncate(path, bytes - 5000);
    expect(await ensureStageFile(first)).toEqual({ path, bytes, reused: false });
    expect((await stat(path)).size).toBe(bytes);
  });

  it('cuts a file again whose weights have changed on the disk', async () => {
    const first = await request('qwen3', { from: 0, to: 2 });
    const { path, bytes } = await ensureStageFile(first);
    const whole = await readFile(path);
    const damaged = Buffer.from(whole);
    damaged.writeUInt8((damaged.at(-1) ?? 0) ^ 1, damaged.byteLength - 1);
    await writeFile(path, damaged);
    expect(await ensureStageFile(first)).toEqual({ path, bytes, reused: false });
    expect(await readFile(path)).toEqual(whole);
    expect((await ensureStageFile(first)).reused).toBe(true);
  });

  it('shares the work of concurrent calls', async () => {
    let reads = 0;
    const inner = fileSectionSource(model('qwen3').file);
    const source: SectionSource = {
      read(sections, options) {
        reads += 1;
        return inner.read(sections, options);
      },
    };
    const shared = await request('qwen3', { from: 2, to: 6 }, { source });
    const [first, second] = await Promise.all([ensureStageFile(shared), ensureStageFile(shared)]);
    expect(first).toEqual(second);
    // One for the keys that are rewritten, one for all the rest.
    expect(reads).toBe(2);
  });

  it('reports progress up to the total', async () => {
    const seen: { bytes: number; totalBytes: number }[] = [];
    const onProgress = (progress: { bytes: number; totalBytes: number }) => seen.push(progress);
    await ensureStageFile(await request('phi3', { from: 0, to: 2 }, { onProgress }));
    expect(seen.at(-1)?.bytes).toBe(seen.at(-1)?.totalBytes);
  });

  it('refuses a section with another content and leaves nothing behind', async () => {
    const inner = fileSectionSource(model('llama').file);
    const source: SectionSource = {
      async *read(sections, options) {
        for await (const chunk of inner.read(sections, options)) {
          if (sections.length > 30) chunk[chunk.byteLength - 1] = (chunk.at(-1) ?? 0) ^ 1;
          yield chunk;
        }
      },
    };
    const damaged = await request('llama', { from: 0, to: 4 }, { source });
    await expect(ensureStageFile(damaged)).rejects.toMatchObject({ code: 'hash-mismatch' });
    expect(await readdir(damaged.directory)).toEqual([]);
  });

  it('refuses a source that ends early or says too much', async () => {
    const inner = fileSectionSource(model('llama').file);
    const short: SectionSource = { read: (sections, options) => inner.read(sections.slice(0, -1), options) };
    const long: SectionSource = { read: (sections, options) => inner.read([...sections, ...sections], options) };
    const block = { from: 0, to: 2 };
    await expect(ensureStageFile(await request('llama', block, { source: short }))).rejects.toMatchObject({
      code: 'model-unreachable',
    });
    await expect(ensureStageFile(await request('llama', block, { source: long }))).rejects.toMatchObject({
      code: 'protocol-violation',
    });
  });

  it('stops when aborted and leaves nothing behind', async () => {
    const abort = new AbortController();
    const onProgress = () => abort.abort();
    const aborted = await request('llama', { from: 0, to: 4 }, { onProgress, signal: abort.signal });
    await expect(ensureStageFile(aborted)).rejects.toThrow(/abort/i);
    await expect.poll(() => readdir(aborted.directory)).toEqual([]);
  });

  it('removes what a dead process left, and nothing of a living one', async () => {
    const next = await request('llama', { from: 0, to: 1 });
    const identity = '01234567-89ab-cdef-0123-456789abcdef.partial';
    // Beyond the greatest process id of any system we run on.
    await writeFile(join(next.directory, `a.gguf.99999999.${identity}`), 'x');
    await writeFile(join(next.directory, `a.gguf.${process.ppid}.${identity}`), 'x');
    await ensureStageFile(next);
    const left = await readdir(next.directory);
    expect(left.filter((name) => name.endsWith('.partial'))).toEqual([`a.gguf.${process.ppid}.${identity}`]);
  });

  it('says how much room is missing before anything is fetched', async () => {
    const { manifest } = model('llama');
    const block = { from: 0, to: 4 };
    const sectionBytes = sectionsOf(planStageFile(manifest, block, 'stage')).reduce((sum, { bytes }) => sum + bytes, 0);
    const source = fileSectionSource('/nowhere');
    const short = await request('llama', block, { source, freeBytes: () => Promise.resolve(sectionBytes) });
    await expect(ensureStageFile(short)).rejects.toMatchObject({
      code: 'disk-failed',
      details: { directory: short.directory, freeBytes: sectionBytes },
      message: expect.stringMatching(/stages-.*B are needed/) as string,
    });
    expect(await readdir(short.directory)).toEqual([]);
  });

  it('removes the files used longest ago when there are more than the cap', async () => {
    const first = await request('llama', { from: 0, to: 1 });
    const made = await ensureStageFile(first);
    const other = await ensureStageFile({ ...first, block: { from: 1, to: 2 } });
    const longAgo = new Date(Date.now() - 2 * 3_600_000);
    for (const { path } of [made, other]) await utimes(path, longAgo, longAgo);
    // Used again, so it is not the one to go.
    expect(await ensureStageFile(first)).toMatchObject({ reused: true });
    const last = await ensureStageFile({ ...first, block: { from: 2, to: 3 }, maxDirectoryBytes: 1 });
    expect(await readdir(first.directory)).toEqual([made.path, last.path].map((path) => basename(path)).sort());
  });

  it('refuses blocks that are no cut of the model', async () => {
    await expect(request('gemma3', { from: 0, to: 3 }).then(ensureStageFile)).rejects.toMatchObject({
      code: 'split-unsupported',
      message: /multiples of 6/,
    });
    await expect(request('llama', { from: 2, to: 9 }).then(ensureStageFile)).rejects.toMatchObject({
      code: 'split-unsupported',
    });
    const { manifest } = model('llama');
    // As a version wrote it whose llama.cpp could cut there.
    const finer = { ...model('gemma3').manifest };
    const gemma3 = { ...finer, shape: { ...finer.shape, split: { allowed: true as const, multiple: 2 } } };
    for (const block of [
      { from: 4, to: 8 },
      { from: 0, to: 4 },
    ]) {
      await expect(request('gemma3', block, { manifest: gemma3 }).then(ensureStageFile)).rejects.toMatchObject({
        code: 'split-unsupported',
        message: /multiples of 6 layers only; remove the model and pull it again/,
      });
    }
    const shape = { ...manifest.shape, split: { allowed: false as const, reason: 'it is mamba' } };
    const whole = await request('llama', { from: 0, to: 2 }, { manifest: { ...manifest, shape } });
    await expect(ensureStageFile(whole)).rejects.toMatchObject({ message: /it is mamba; run it on one machine/ });
  });
});
