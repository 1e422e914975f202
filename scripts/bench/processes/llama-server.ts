import { buildRivals } from '../../rivals/build-rivals.ts';
import type { CaseContext } from '../bench-case.ts';
import type { CompletionEndpoint } from '../completion.ts';
import type { BenchModel } from '../models.ts';
import { freePort } from './free-port.ts';
import { startPinned } from './pinned-process.ts';
import { isListening, untilReady } from './until-ready.ts';

export interface LlamaServerOptions {
  readonly cores: readonly number[];
  /** Number of answers at once. */
  readonly streams: number;
  /** Tokens of context of each stream. */
  readonly contextTokens: number;
  /** Whether it keeps prompts for those that begin alike, as it does out of the box. Default: no; it costs time itself. */
  readonly keepsPrompts?: boolean;
  /** Ports of RPC workers that hold the layers, each with its number of layers; the output matrix counts as one more. */
  readonly workers?: readonly { readonly port: number; readonly layers: number }[];
}

type Context = Pick<CaseContext, 'signal' | 'say'> &
  Partial<Pick<CaseContext, 'kernels'>> & { readonly model: Pick<BenchModel, 'name' | 'path'> };

/** Starts llama.cpp's own server with one thread. */
export async function startLlamaServer(
  { cores, streams, contextTokens, keepsPrompts = false, workers }: LlamaServerOptions,
  { model, signal, say, kernels }: Context,
): Promise<CompletionEndpoint & AsyncDisposable> {
  const { llamaServer } = await buildRivals({ signal, say });
  const port = await freePort();
  const process = startPinned({
    name: 'llama-server',
    command: llamaServer,
    commandLine: commandLineOf({
      model: model.path,
      host: '127.0.0.1',
      port,
      threads: 1,
      'threads-batch': 1,
      parallel: streams,
      'ctx-size': streams * contextTokens,
      fit: 'off',
      ...(!keepsPrompts && { 'cache-ram': 0 }),
      ...workerFlags(workers),
    }),
    cores,
    stop: 'signal',
    output: 'ignored',
  });
  const url = `http://127.0.0.1:${port}`;
  const isReady = async () =>
    await fetch(`${url}/health`, { signal }).then(
      (response) => response.ok,
      () => false,
    );
  try {
    await untilReady(process, { isReady, signal });
    await kernels?.note('llama-server', process.pid);
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
  return {
    url,
    model: model.name,
    parameters: { cache_prompt: keepsPrompts },
    [Symbol.asyncDispose]: async () => await process[Symbol.asyncDispose](),
  };
}

type Flags = Readonly<Record<string, string | number>>;

function workerFlags(workers: LlamaServerOptions['workers']): Flags {
  if (workers === undefined) return {};
  return {
    rpc: workers.map(({ port }) => `127.0.0.1:${port}`).join(),
    'gpu-layers': 99,
    'tensor-split': workers.map(({ layers }) => layers).join(),
  };
}

function commandLineOf(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

/** Starts a process that computes for a llama-server, with one thread. */
export async function startRpcWorker(
  core: number,
  { signal, say, kernels }: Pick<CaseContext, 'signal' | 'say' | 'kernels'>,
): Promise<{ readonly port: number } & AsyncDisposable> {
  const { rpcServer } = await buildRivals({ signal, say });
  const port = await freePort();
  const process = startPinned({
    name: 'ggml-rpc-server',
    command: rpcServer,
    commandLine: commandLineOf({ threads: 1, host: '127.0.0.1', port }),
    cores: [core],
    stop: 'signal',
    output: 'ignored',
  });
  try {
    await untilReady(process, { isReady: async () => await isListening(port), signal });
    await kernels.note('ggml-rpc-server', process.pid);
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
  return { port, [Symbol.asyncDispose]: async () => await process[Symbol.asyncDispose]() };
}
