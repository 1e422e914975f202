import { constants, setPriority } from 'node:os';

import { parseHeader, SkeinError, toWireError } from '@skein/protocol';

import { controlDescriptor, engineLoadSchema, ringDescriptor, toEngineSchema, type EngineLoad } from '../control.ts';
import { loadLibllama } from '../libllama/libllama.ts';
import { createEngine, type Engine } from './engine.ts';
import { FramePipe } from './pipe.ts';

/**
 * The engine process: one loaded stage, llama.cpp inside. It lives as long as the pipes to its peer do. Whatever kills
 * it (a crash in llama.cpp, the kernel's out-of-memory killer) costs this stage and nothing else.
 */
let engine: Engine | undefined;

// Computing can wait for what takes little: the peer that relays hidden rows, and the programs of the machine's owner.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const control: FramePipe = new FramePipe(controlDescriptor, {
  // All that have come start together, rather than one a step.
  computes: false,
  onFrame: (frame) => {
    if (engine === undefined) void load(parseHeader(engineLoadSchema, frame.header));
    else guarded((loaded) => loaded.onControl(parseHeader(toEngineSchema, frame.header)));
  },
  onClose: () => process.exit(0),
});

const ring: FramePipe = new FramePipe(ringDescriptor, {
  computes: true,
  onFrame: (frame) => guarded((loaded) => loaded.onRing(frame)),
  onClose: () => process.exit(0),
});

async function load(message: EngineLoad): Promise<void> {
  try {
    // To stderr, which the peer keeps: level 3 and up, warnings and errors.
    const library = loadLibllama(message.libraryDirectory, {
      log: (level, text) => level >= 3 && level <= 4 && process.stderr.write(text),
    });
    engine = await createEngine(library, message, {
      control: (answer) => control.send(answer),
      ring: (header, payload) => ring.send(header, payload),
      whenRingIsFlushed: (callback) => ring.whenFlushed(callback),
    });
  } catch (error) {
    await fail(error);
  }
}

/** A frame that breaks the protocol means that the two ends disagree about their state: nothing after it can be trusted. */
function guarded(action: (loaded: Engine) => void): void {
  try {
    if (engine === undefined) throw new SkeinError('protocol-violation', 'a frame came before the engine was loaded');
    action(engine);
  } catch (error) {
    void fail(error);
  }
}

async function fail(error: unknown): Promise<void> {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  control.send({ type: 'engine-failed', error: toWireError(error, 'engine-failed') });
  await control.flush();
  process.exit(1);
}
