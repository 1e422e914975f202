import { constants, setPriority } from 'node:os';

import { parseHeader, SkeinError, toWireError } from '@skein/protocol';

import { controlDescriptor, ringDescriptor, toEngineSchema, type EngineLoad, type ToEngine } from '../control.ts';
import { stayAwake } from '../../awake/stay-awake.ts';
import { enumerators } from '../libllama/c-headers.ts';
import { loadLibllama } from '../libllama/libllama.ts';
import { CacheSweep } from '../stage/cache-sweep.ts';
import { createEngine, type Engine } from './engine.ts';
import { FramePipe } from './pipe.ts';

/** Levels of llama.cpp's log that the peer keeps. */
const keptLevels: ReadonlySet<number> = new Set([enumerators.GGML_LOG_LEVEL_WARN, enumerators.GGML_LOG_LEVEL_ERROR]);

/**
 * The engine process: one loaded stage, llama.cpp inside. It lives as long as the pipes to its peer do. Its death (by a
 * crash in llama.cpp, or by the kernel's out-of-memory killer) costs this stage and nothing else.
 */
let engine: Engine | undefined;
let isLoading = false;
/** The sweep between echoes. */
let caches: CacheSweep | undefined;
let isFailing = false;

/** Longest time for the peer to read why this process ends, in milliseconds. */
const lastWordsTimeoutMs = 2000;

// Computing can wait for what takes little: the peer that relays hidden rows, and the programs of the machine's owner.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const control: FramePipe = new FramePipe(controlDescriptor, {
  // All that have come start together, rather than one a step, but for those that take long to start.
  turnMs: 5,
  onFrame: (frame) => guarded(() => onControl(parseHeader(toEngineSchema, frame.header), frame.payload)),
  onClose,
});

const ring: FramePipe = new FramePipe(ringDescriptor, {
  turnMs: 0,
  onFrame: (frame) => guarded(() => loaded('a frame of the ring').onRing(frame)),
  onClose,
});

function onControl(message: ToEngine, payload: Uint8Array): void {
  if (message.type === 'engine-echo') return echo(message.sweeps);
  if (message.type !== 'engine-load') return loaded(message.type).onControl(message, payload);
  if (isLoading) throw new SkeinError('protocol-violation', 'the engine is loaded already');
  isLoading = true;
  return void load(message);
}

function echo(sweeps: boolean): void {
  control.send({ type: 'engine-echo' });
  if (sweeps) {
    caches ??= CacheSweep.whole();
    control.whenFlushed(() => caches?.sweep());
  } else {
    caches?.[Symbol.dispose]();
    caches = undefined;
  }
}

async function load(message: EngineLoad): Promise<void> {
  try {
    // To stderr, which the peer keeps.
    const library = loadLibllama(message.libraryDirectory, {
      fallbackDirectory: message.fallbackDirectory,
      log: (level, text) => keptLevels.has(level) && process.stderr.write(text),
    });
    engine = await createEngine(library, message, {
      control: (answer, payload) => control.send(answer, payload),
      ring: (header, payload) => ring.send(header, payload),
      whenRingIsFlushed: (callback) => ring.whenFlushed(callback),
    });
    if (message.keepAwake === true && !stayAwake())
      process.stderr.write('this machine may go to sleep: Windows refuses\n');
  } catch (error) {
    await fail(error);
  }
}

/**
 * Returns the engine.
 *
 * @param what name of the message that needs it, for the error
 * @throws SkeinError `protocol-violation` before it is loaded
 */
function loaded(what: string): Engine {
  if (engine !== undefined) return engine;
  throw new SkeinError('protocol-violation', `${what} came before the engine was loaded`);
}

/**
 * Runs an action, and ends the process when it fails: after a frame that breaks the protocol the two ends disagree
 * about their state, and nothing can be trusted.
 */
function guarded(action: () => void): void {
  try {
    action();
  } catch (error) {
    void fail(error);
  }
}

/** Ends the process with its peer: silently when the peer has gone, with an error when it sent bytes that are no frames. */
function onClose(error?: unknown): void {
  if (error !== undefined) void fail(error);
  else if (!isFailing) process.exit(0);
}

async function fail(error: unknown): Promise<void> {
  if (isFailing) return;
  isFailing = true;
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  setTimeout(() => process.exit(1), lastWordsTimeoutMs);
  control.send({ type: 'engine-failed', error: toWireError(error, 'engine-failed') });
  await control.flush();
  process.exit(1);
}
