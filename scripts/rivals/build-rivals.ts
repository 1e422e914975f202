import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import { runTool, type RunToolOptions } from './run-tool.ts';

/** llama.cpp's own programs, of the very version that Skein's engine runs. */
export interface Rivals {
  readonly llamaServer: string;
  readonly rpcServer: string;
}

const bundle = join(import.meta.dirname, '..', '..', 'node_modules/node-llama-cpp/llama/gitRelease.bundle');
const targets = ['llama-server', 'ggml-rpc-server'];
/**
 * Flags of the build: a CPU backend for each kind of processor, chosen when a program starts, as in node-llama-cpp's
 * builds, so that kernels are the engine's.
 */
const flags = [
  '-DCMAKE_BUILD_TYPE=Release',
  '-DGGML_RPC=ON',
  '-DGGML_NATIVE=OFF',
  '-DGGML_BACKEND_DL=ON',
  '-DGGML_CPU_ALL_VARIANTS=ON',
  '-DLLAMA_CURL=OFF',
  '-DLLAMA_OPENSSL=OFF',
  '-DLLAMA_BUILD_UI=OFF',
  '-DLLAMA_BUILD_TESTS=OFF',
  '-DLLAMA_BUILD_EXAMPLES=OFF',
  // Programs find their libraries beside them, wherever that is.
  '-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON',
];

export interface BuildOptions extends Pick<RunToolOptions, 'signal'> {
  /** Reports a step, in one line. */
  readonly say: (line: string) => void;
}

/**
 * Builds `llama-server` and `ggml-rpc-server` from the sources that node-llama-cpp brings, once: about ten minutes on
 * two cores. They stay in the {@link cacheDirectory}. Another call continues an interrupted build.
 *
 * @throws Error that names the fix when a tool is missing
 */
export async function buildRivals({ signal, say }: BuildOptions): Promise<Rivals> {
  const directory = join(cacheDirectory(), 'rivals', await keyOf());
  const rivals = { llamaServer: join(directory, 'llama-server'), rpcServer: join(directory, 'ggml-rpc-server') };
  if (await exists(directory)) return rivals;
  say(`building llama.cpp's llama-server and ggml-rpc-server, once, into ${directory}`);
  const partial = `${directory}.partial`;
  const [source, build] = [join(partial, 'source'), join(partial, 'build')];
  await mkdir(partial, { recursive: true });
  const quietly = { signal, onLine: () => undefined };
  if (!(await exists(build))) {
    await rm(source, { recursive: true, force: true });
    await runTool('git', ['clone', '--quiet', bundle, source], quietly);
  }
  await runTool('cmake', ['-S', source, '-B', build, ...flags], quietly);
  const progress = { signal, onLine: percentages(say) };
  const jobs = String(availableParallelism());
  await runTool('cmake', ['--build', build, '--parallel', jobs, '--target', ...targets], progress);
  await rename(join(build, 'bin'), directory);
  await rm(partial, { recursive: true });
  return rivals;
}

/** Returns the key of a build: other sources or other flags are another build. */
async function keyOf(): Promise<string> {
  const content = await readFile(bundle).catch((cause: unknown) => {
    throw new Error(`llama.cpp's sources are not at ${bundle}; run \`npm ci\``, { cause });
  });
  return createHash('sha256').update(content).update(flags.join('\n')).digest('hex').slice(0, 16);
}

/** Reports progress: Make and Ninja both print it; every tenth part of it is news. */
function percentages(say: (line: string) => void): (line: string) => void {
  let said = 0;
  return (line) => {
    const [, percent, done, all] = /^\[\s*(?:(\d+)%|(\d+)\/(\d+))\]/.exec(line) ?? [];
    const share = percent === undefined ? (100 * Number(done)) / Number(all) : Number(percent);
    if (!(share >= said + 10)) return;
    said = share - (share % 10);
    say(`building llama.cpp: ${said} %`);
  };
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
