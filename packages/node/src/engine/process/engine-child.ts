import { spawn, type ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { SkeinError, type Logger } from '@skein/protocol';

import { withLibraries } from '../../hardware/runtime-libraries.ts';
import { withoutDebugger } from '../../probe/without-debugger.ts';
import { controlDescriptor, ringDescriptor } from '../control.ts';
import { publicReason } from '../libllama/load-failure.ts';

const stopTimeoutMs = 2000;
/** Lines of the engine's log that are kept to explain its end. */
const keptLogLines = 20;
const maxLineLength = 500;
/** JavaScript's share of an engine, in MiB: a chat template that writes without end kills the engine, not the machine. */
const heapMebibytes = 512;
/** Room for young objects, in MiB, taken twice: V8 would take 16 and more while modules are loaded, and hold them. */
const youngMebibytes = 1;

/**
 * Standard streams and pipes of an engine process. Windows reads and writes an `overlapped` pipe at the same time; on a
 * plain one, what the engine writes would be stuck for as long as it waits for more to read. Other systems make no
 * difference.
 */
export const engineStdio = ['ignore', 'ignore', 'pipe', 'overlapped', 'overlapped'] as const;

/** The operating system's side of an engine process: its pipes, its log, and the reason of its end. */
export class EngineChild {
  readonly #child: ChildProcess;
  readonly #logger: Logger;
  readonly #recentLog: string[] = [];
  /** Resolves when the process is gone, with the reason in an operator's words. Never rejects. */
  readonly ended: Promise<SkeinError>;

  /** @param options.runtimeDirectory directory of further libraries that llama.cpp needs */
  constructor(logger: Logger, { runtimeDirectory }: { readonly runtimeDirectory?: string | undefined } = {}) {
    this.#logger = logger;
    const script = fileURLToPath(new URL('../child/main.ts', import.meta.url));
    const loader = new URL('../../../loader/register.js', import.meta.url).href;
    this.#child = spawn(
      process.execPath,
      [
        `--max-old-space-size=${heapMebibytes}`,
        `--max-semi-space-size=${youngMebibytes}`,
        `--import=${loader}`,
        script,
      ],
      {
        stdio: [...engineStdio],
        windowsHide: true,
        env: { ...withLibraries(process.env, runtimeDirectory), ...withoutDebugger },
      },
    );
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (cause) =>
        resolve(new SkeinError('engine-failed', 'the engine process could not be started', { cause })),
      );
      this.#child.once('close', (code, signal) => resolve(exitError(code, signal, this.#recentLog)));
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#log(text));
    // A write to an engine that has just died fails with EPIPE; `ended` tells what happened.
    for (const pipe of [this.control, this.ring]) pipe.on('error', () => undefined);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get control(): Duplex {
    return this.#child.stdio[controlDescriptor] as Duplex;
  }

  /** Bytes of ring frames in both directions. */
  get ring(): Duplex {
    return this.#child.stdio[ringDescriptor] as Duplex;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Ends the process and waits until it is gone. */
  async stop(): Promise<void> {
    // The engine ends by itself when its pipes close, unless it hangs inside llama.cpp.
    this.control.destroy();
    this.ring.destroy();
    const timer = setTimeout(() => this.kill(), stopTimeoutMs);
    await this.ended;
    clearTimeout(timer);
  }

  #log(text: string): void {
    for (const line of text.split('\n')) {
      if (line.trim() === '') continue;
      this.#recentLog.push(line.slice(0, maxLineLength));
      if (this.#recentLog.length > keptLogLines) this.#recentLog.shift();
      this.#logger.debug({ pid: this.pid, line: line.slice(0, maxLineLength) }, 'engine');
    }
  }
}

function exitError(code: number | null, signal: NodeJS.Signals | null, log: readonly string[]): SkeinError {
  return new SkeinError('stage-lost', `the engine process of this stage is gone: ${exitReason(code, signal, log)}`, {
    cause: new Error(log.join('\n')),
    details: signal === null ? { exitCode: code ?? -1 } : { signal },
  });
}

function exitReason(code: number | null, signal: NodeJS.Signals | null, log: readonly string[]): string {
  switch (signal) {
    case null:
      return `it ended with exit code ${code}`;
    case 'SIGKILL':
      return 'it was killed, perhaps because the machine ran out of memory; free some or choose a smaller context';
    case 'SIGABRT':
      return `llama.cpp aborted${assertionIn(log)}; the log of the peer has its last words`;
    default:
      return `it was ended by ${signal}`;
  }
}

/** Returns the assertion that failed, as llama.cpp's source has it. Other last words may quote generated text. */
function assertionIn(log: readonly string[]): string {
  const line = log.find((text) => text.includes('GGML_ASSERT('));
  return line === undefined ? '' : `: ${publicReason(line)}`;
}
