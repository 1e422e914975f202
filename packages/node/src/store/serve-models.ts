import {
  bytesRequestSchema,
  manifestRequestSchema,
  methods,
  parseHeader,
  SkeinError,
  type Method,
} from '@skein/protocol';

import type { ModelStore } from './model-store.ts';
import type { TransferStream } from './transfer-stream.ts';

/** What serving models needs of the mesh. */
export interface TransferServer {
  /** Answers a method from now on. When the handler returns the stream is ended; what it throws is told to the remote. */
  handle(method: Method, handler: (stream: TransferStream) => Promise<void>): void;
}

/** Longest wait for a remote that does not take what we send, in milliseconds. */
const writeTimeoutMs = 30_000;

/** Lets other peers fetch manifests and sections of the models that are held here. */
export function serveModels(mesh: TransferServer, store: Pick<ModelStore, 'manifest' | 'readRanges'>): void {
  mesh.handle(methods.manifest, async (stream) => {
    const { model } = parseHeader(manifestRequestSchema, await readRequest(stream, methods.manifest));
    const { encoded } = await store.manifest(model);
    await stream.write({ type: 'manifest' }, encoded, { timeoutMs: writeTimeoutMs });
  });
  mesh.handle(methods.bytes, async (stream) => {
    const { model, ranges } = parseHeader(bytesRequestSchema, await readRequest(stream, methods.bytes));
    for await (const chunk of store.readRanges(model, ranges)) {
      await stream.write({ type: 'model-bytes' }, chunk, { timeoutMs: writeTimeoutMs });
    }
    await stream.write({ type: 'bytes-end' }, undefined, { timeoutMs: writeTimeoutMs });
  });
}

async function readRequest(stream: TransferStream, { openTimeoutMs }: Method): Promise<unknown> {
  const request = await stream.read({ timeoutMs: openTimeoutMs });
  if (request === undefined) throw new SkeinError('protocol-violation', 'the stream ended without a request');
  return request.header;
}
