import type { FrameStream, Mesh } from '@skein/mesh';
import {
  bytesRequestSchema,
  manifestRequestSchema,
  methods,
  parseHeader,
  SkeinError,
  type Method,
} from '@skein/protocol';

import type { ModelStore } from './model-store.ts';

/** Longest wait for a remote to take the bytes that we send, in milliseconds. */
const writeTimeoutMs = 30_000;

/** Lets other peers fetch manifests and sections of the models that are held here, until it is disposed. */
export function serveModels(
  mesh: Pick<Mesh, 'handle'>,
  store: Pick<ModelStore, 'manifest' | 'readRanges'>,
): Disposable {
  const served = new DisposableStack();
  const sendManifest = async (stream: FrameStream): Promise<void> => {
    const { model } = parseHeader(manifestRequestSchema, await readRequest(stream, methods.manifest));
    const { encoded } = await store.manifest(model);
    await stream.write({ type: 'manifest' }, encoded, { timeoutMs: writeTimeoutMs });
  };
  const sendBytes = async (stream: FrameStream): Promise<void> => {
    const { model, ranges } = parseHeader(bytesRequestSchema, await readRequest(stream, methods.bytes));
    for await (const chunk of store.readRanges(model, ranges)) {
      await stream.write({ type: 'model-bytes' }, chunk, { timeoutMs: writeTimeoutMs });
    }
    await stream.write({ type: 'bytes-end' }, undefined, { timeoutMs: writeTimeoutMs });
  };
  served.use(mesh.handle(methods.manifest, sendManifest));
  served.use(mesh.handle(methods.bytes, sendBytes));
  return served;
}

async function readRequest(stream: FrameStream, { openTimeoutMs }: Method): Promise<unknown> {
  const request = await stream.read({ timeoutMs: openTimeoutMs });
  if (request === undefined) throw new SkeinError('protocol-violation', 'the stream ended without a request');
  return request.header;
}
