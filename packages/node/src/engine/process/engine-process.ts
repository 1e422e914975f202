import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';

import {
  asSkeinError,
  encodeFrame,
  FrameParser,
  fromWireError,
  parseHeader,
  SkeinError,
  type GenerationEvent,
  type Logger,
} from '@skein/protocol';

import {
  controlDescriptor,
  fromEngineSchema,
  ringDescriptor,
  type EngineLoad,
  type FromEngine,
  type ToEngine,
} from '../control.ts';
import type { Generation } from '../lead/lead.ts';
import { GenerationEvents } from './generation-events.ts';

export interface EngineProcessOptions {
  readonly load: Omit<EngineLoad, 'type'>;
  readonly logger: Logger;
  /** Extra environment, e.g. to choose a Vulkan device. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

const stopTimeoutMs = 2000;
/** Lines of the engine's log that are kept to explain its end. */
const keptLogLines = 20;

/**
 * A loaded stage in a process of its own. Whatever ends that process, generations in flight get an error, `lost` fires,
 * and this process lives on.
 */
export class EngineProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #logger: Logger;
  readonly #generations = new Map<string, GenerationEvents>();
  readonly #lost = new AbortController();
  readonly #exited: Promise<void>;
  readonly #ready = Promise.withResolvers<Extract<FromEngine, { type: 'engine-ready' }>>();
  readonly #recentLog: string[] = [];
  #failure: SkeinError | undefined;
  #placement = { device: 'cpu', gpuLayers: 0 };
  #stopping = false;
  #load = { active: 0, queued: 0 };
  #onLoad: (() => void) | undefined;

  private constructor(options: EngineProcessOptions) {
    this.#logger = options.logger;
    const script = fileURLToPath(new URL('../child/main.ts', import.meta.url));
    this.#child = spawn(process.execPath, [script], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#end(new SkeinError('engine-failed', 'the engine process could not be started', { cause: error }));
        resolve();
      });
      this.#child.once('close', (code, signal) => {
        this.#end(this.#failure ?? exitError(code, signal, this.#recentLog));
        resolve();
      });
    });
    // Whoever awaits start() sees the rejection; without this, one that comes later would count as unhandled.
    this.#ready.promise.catch(() => undefined);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#log(text));
    this.#readControl();
    // A write to an engine that has just died fails with EPIPE; `close` tells what happened.
    this.#ring.on('error', () => undefined);
  }

  /**
   * Starts a process and loads the stage.
   *
   * @throws SkeinError `engine-failed` when it can't be loaded, `stage-lost` when the process dies over it
   */
  static async start(options: EngineProcessOptions): Promise<EngineProcess> {
    options.signal?.throwIfAborted();
    const engine = new EngineProcess(options);
    const abort = (): void => void engine.stop();
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      engine.#send({ type: 'engine-load', ...options.load });
      const { device, gpuLayers } = await engine.#ready.promise;
      engine.#placement = { device, gpuLayers };
      options.logger.info({ pid: engine.pid, device, gpuLayers, stage: options.load.stage }, 'stage loaded');
      return engine;
    } catch (error) {
      await engine.stop();
      options.signal?.throwIfAborted();
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Where the layers were placed: how many on which GPU, the rest on the CPU. */
  get placement(): { readonly device: string; readonly gpuLayers: number } {
    return this.#placement;
  }

  /** Fires, with a SkeinError as reason, when the process has ended other than by {@link stop}. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** The engine's end of the ring: bytes of ring frames in both directions. */
  get ring(): Duplex {
    return this.#ring;
  }

  get #ring(): Duplex {
    return pipeOf(this.#child, ringDescriptor);
  }

  /** Sequences being generated, and requests that wait. Leads only; 0 elsewhere. */
  get load(): { readonly active: number; readonly queued: number } {
    return this.#load;
  }

  /** Calls back when {@link load} has changed. */
  onLoad(callback: () => void): void {
    this.#onLoad = callback;
  }

  /**
   * Generates on a lead. Leaving the loop or aborting frees the sequence within one step.
   *
   * @throws SkeinError what the engine says, `stage-lost` when it dies meanwhile
   */
  async *generate(generation: Generation, options: { signal?: AbortSignal } = {}): AsyncGenerator<GenerationEvent> {
    this.#lost.signal.throwIfAborted();
    options.signal?.throwIfAborted();
    const id = randomUUID();
    const events = new GenerationEvents();
    const abort = (): void => events.fail(asSkeinError(options.signal?.reason, 'aborted'));
    options.signal?.addEventListener('abort', abort, { once: true });
    this.#generations.set(id, events);
    this.#send({ type: 'generation-start', id, generation });
    try {
      for await (const event of events) {
        if (event.type === 'generation-error') throw fromWireError(event.error);
        yield event;
        if (event.type === 'generation-end') return;
      }
    } finally {
      options.signal?.removeEventListener('abort', abort);
      // Still there: it has not ended by itself.
      if (this.#generations.delete(id)) this.#send({ type: 'generation-cancel', id });
    }
  }

  /** Ends every generation with an error, as when another stage of the pipeline is lost. */
  failGenerations(error: SkeinError): void {
    for (const events of this.#generations.values()) events.fail(error);
  }

  /** Ends the process and waits until it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    // The engine ends by itself when its pipes close, unless it hangs inside llama.cpp.
    pipeOf(this.#child, controlDescriptor).destroy();
    this.#ring.destroy();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopTimeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #send(message: ToEngine): void {
    const pipe = pipeOf(this.#child, controlDescriptor);
    if (pipe.writable) pipe.write(encodeFrame(message));
  }

  #readControl(): void {
    const pipe = pipeOf(this.#child, controlDescriptor);
    const parser = new FrameParser();
    pipe.on('data', (chunk: Uint8Array) => {
      try {
        for (const frame of parser.push(chunk)) {
          this.#receive(parseHeader(fromEngineSchema, frame.header));
        }
      } catch (error) {
        this.#failure ??= asSkeinError(error, 'engine-failed');
        this.#child.kill('SIGKILL');
      }
    });
    pipe.on('error', () => undefined);
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'engine-ready':
        this.#ready.resolve(message);
        break;
      case 'engine-failed':
        this.#failure = fromWireError(message.error);
        break;
      case 'engine-load-changed':
        this.#load = { active: message.active, queued: message.queued };
        this.#onLoad?.();
        break;
      case 'generation-event': {
        const { id, event } = message;
        this.#generations.get(id)?.push(event);
        if (event.type !== 'text-delta') this.#generations.delete(id);
        break;
      }
    }
  }

  #end(error: SkeinError): void {
    this.#ready.reject(error);
    this.failGenerations(error);
    this.#generations.clear();
    if (this.#stopping) return;
    this.#logger.error({ pid: this.#child.pid, code: error.code, reason: error.message }, 'engine process ended');
    this.#lost.abort(error);
  }

  #log(text: string): void {
    for (const line of text.split('\n')) {
      if (line.trim() === '') continue;
      this.#recentLog.push(line.slice(0, 500));
      if (this.#recentLog.length > keptLogLines) this.#recentLog.shift();
      this.#logger.debug({ pid: this.#child.pid, line }, 'engine');
    }
  }
}

function pipeOf(child: ChildProcess, descriptor: number): Duplex {
  return child.stdio[descriptor] as Duplex;
}

/** Says in an operator's words why a process ended. */
function exitError(code: number | null, signal: NodeJS.Signals | null, log: readonly string[]): SkeinError {
  const reason =
    signal === 'SIGKILL'
      ? 'it was killed, perhaps because the machine ran out of memory; free some or choose a smaller context'
      : signal === 'SIGABRT'
        ? 'llama.cpp aborted; the log of the peer has its last words'
        : signal === null
          ? `it ended with exit code ${code}`
          : `it was ended by ${signal}`;
  return new SkeinError('stage-lost', `the engine process of this stage is gone: ${reason}`, {
    cause: new Error(log.join('\n')),
    details: signal === null ? { exitCode: code ?? -1 } : { signal },
  });
}
