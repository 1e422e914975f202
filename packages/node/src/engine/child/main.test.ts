import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { encodeFrame, FrameParser, parseHeader, plannedSpecSchema } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { libraryDirectory } from '../../hardware/backend.ts';
import { controlDescriptor, fromEngineSchema, ringDescriptor, type FromEngine } from '../control.ts';

/** Starts the program of an engine, writes to one of its pipes, and returns what it says and with which code it ends. */
async function endAfter(
  bytes: Uint8Array,
  descriptor = controlDescriptor,
): Promise<{ said: FromEngine[]; code: unknown }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url))], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  });
  const parser = new FrameParser();
  const said: FromEngine[] = [];
  (child.stdio[controlDescriptor] as Duplex).on('data', (chunk: Uint8Array) => {
    said.push(...parser.push(chunk).map(({ header }) => parseHeader(fromEngineSchema, header)));
  });
  (child.stdio[descriptor] as Duplex).write(bytes);
  const [code] = (await once(child, 'close')) as [unknown];
  return { said, code };
}

const load = {
  type: 'engine-load',
  libraryDirectory: await libraryDirectory('cpu'),
  file: '/nowhere/model.gguf',
  stage: 0,
  stages: 1,
  layers: 1,
  cacheBytes: 0,
  hiddenTensor: 'l_out',
  hiddenSize: 1,
  spec: plannedSpecSchema.parse({ model: 'a'.repeat(64), contextTokens: 16, sequences: 1 }),
  swapTokens: 0,
  threads: 1,
};
const start = {
  type: 'generation-start',
  id: 'a',
  generation: { prompt: 'text', sampling: {} },
};

describe('the program of an engine', () => {
  it.each<[name: string, bytes: Uint8Array, descriptor: number, message: string]>([
    ['bytes that are no frames on its control pipe', Buffer.alloc(64, 0xff), controlDescriptor, ''],
    ['bytes that are no frames on its ring pipe', Buffer.alloc(64, 0xff), ringDescriptor, ''],
    ['a message that there is not', encodeFrame({ type: 'engine-dance' }), controlDescriptor, ''],
    ['a generation before it was loaded', encodeFrame(start), controlDescriptor, 'generation-start came before'],
    ['a frame of the ring before it was loaded', encodeFrame({ type: 'sampled' }), ringDescriptor, 'came before'],
    [
      'a generation while it is loading',
      Buffer.concat([encodeFrame(load), encodeFrame(start)]),
      controlDescriptor,
      'generation-start came before',
    ],
    ['two loads', Buffer.concat([encodeFrame(load), encodeFrame(load)]), controlDescriptor, 'loaded already'],
  ])('says what is wrong with %s, and ends with 1', async (_name, bytes, descriptor, message) => {
    const { said, code } = await endAfter(bytes, descriptor);
    expect(said).toEqual([
      {
        type: 'engine-failed',
        error: expect.objectContaining({ message: expect.stringContaining(message) as string }) as unknown,
      },
    ]);
    expect(said[0]).toMatchObject({
      error: { code: expect.stringMatching(/^(protocol-violation|frame-too-large)$/) as string },
    });
    expect(code).toBe(1);
  });

  it('ends with 0 and without a word when its peer is gone', async () => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url))], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    (child.stdio[controlDescriptor] as Duplex).destroy();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
