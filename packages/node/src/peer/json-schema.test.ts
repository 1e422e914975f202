import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Authority, createMesh, type Mesh } from '@skein/mesh';
import { methods, packPrompt, plannedSpecSchema, type GenerationEvent, type StageLoad } from '@skein/protocol';
import { expect, it } from 'vitest';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { openStore } from '../store/index.ts';
import { createPeer } from './peer.ts';

const deployment = 'deployment-schema';

it('follows a JSON schema, and says which place of one it can not follow', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-json-schema-'));
  const file = join(directory.path, 'tiny.gguf');
  await writeTinyModel('llama', file);
  const mesh = await createMesh({
    ...(await (await Authority.ephemeral()).enroll(['peer'])),
    roles: ['peer'],
    mdns: false,
  });
  await mesh.start();
  const store = await openStore(directory.path);
  const peer = createPeer({ mesh, store, directory: directory.path, backend: 'cpu', threads: 1 });
  try {
    await peer.start();
    const { model } = await store.pull(file);
    const { manifest, digest } = await store.manifest(model);
    await using stage = await mesh.open(mesh.peerId, methods.stage);
    await stage.write({
      type: 'stage-load',
      deployment,
      manifest: digest,
      name: 'tiny',
      stage: 0,
      stages: 1,
      block: { from: 0, to: manifest.shape.layers },
      sources: [mesh.peerId],
      spec: plannedSpecSchema.parse({ model, contextTokens: 256, sequences: 1 }),
    } satisfies StageLoad);
    for (let frame = await stage.read(); frame !== undefined; frame = await stage.read()) {
      if ((frame.header as { type: string }).type === 'stage-ready') break;
    }
    expect(
      await answerOf(mesh, '{"properties":{"a":{"enum":["x"]},"b":{"$ref":"#/properties/a"}},"required":["a","b"]}'),
    ).toEqual({
      text: expect.stringMatching(/^\{\s*"a":\s*"x",\s*"b":\s*"x"\s*\}$/) as string,
      end: 'stop',
    });
    expect(await answerOf(mesh, '{"properties":{"a":{"$ref":"#/$defs/nope"}}}')).toMatchObject({
      error: {
        code: 'invalid-request',
        message: expect.stringContaining('properties.a.$ref') as string,
        details: { param: 'response_format.json_schema.schema.properties.a.$ref' },
      },
    });
  } finally {
    await peer.stop();
    await mesh.stop();
  }
});

/** The text under a schema and how it ended, or the error. */
async function answerOf(mesh: Mesh, jsonSchema: string): Promise<unknown> {
  await using stream = await mesh.open(mesh.peerId, methods.generate);
  const prompt = packPrompt({ type: 'text', text: 'JSON' });
  const request = {
    type: 'generate',
    request: 'request-1',
    deployment,
    prompt: prompt.type,
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
    maxTokens: 200,
    stop: [],
    jsonSchema,
  };
  await stream.write(request, prompt.bytes);
  let text = '';
  for (let frame = await stream.read(); frame !== undefined; frame = await stream.read()) {
    const event = frame.header as GenerationEvent | { type: 'generation-error'; error: unknown };
    if (event.type === 'text-delta') text += event.text;
    if (event.type === 'generation-end') return { text, end: event.finishReason };
    if (event.type === 'generation-error') return { error: event.error };
  }
  return undefined;
}
