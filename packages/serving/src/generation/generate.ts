import { throwIfAborted, Watchdog, type Mesh } from '@skein/mesh';
import {
  fromWireError,
  generationEventSchema,
  methods,
  onAbort,
  parseHeader,
  SkeinError,
  type GenerationEvent,
  type GenerationInput,
} from '@skein/protocol';

/** A step of a generation: that the lead has begun, text as it is drawn, then one end. Errors are thrown instead. */
export type GenerationUpdate = Exclude<GenerationEvent, { type: 'generation-error' | 'generation-leaving' }>;

/** Longest waits for a lead, in milliseconds. Time that the reader takes for itself does not count. */
export interface GenerationDeadlines {
  /**
   * From the request to the first text, however early the lead has begun. Covers its queue and the reading of the
   * prompt.
   */
  readonly firstTokenMs: number;
  /** From one piece of text to the next. */
  readonly gapMs: number;
}

export interface GenerateOptions {
  /** Id of the request in logs and records. Default: a random one. */
  readonly id?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default: none, except for opening the stream. */
  readonly deadlines?: GenerationDeadlines | undefined;
  /**
   * Called when the lead is to hand the answer over: it goes on for a while, until the caller has it go on elsewhere.
   * Default: it hands over at once, if it may.
   */
  readonly onLeaving?: (() => void) | undefined;
}

/**
 * Generates at a lead. Gives the sequence up at once, there as here, when the caller leaves the loop, the signal aborts
 * or a deadline passes.
 *
 * @throws SkeinError the lead's own error; `peer-lost` when the stream stops before its end; `aborted` when the signal
 * aborts; `deadline-exceeded` when a deadline passes; `protocol-violation` when the lead breaks the protocol
 */
export async function* generate(
  mesh: Pick<Mesh, 'open'>,
  peerId: string,
  { deployment, prompt, ...settings }: { readonly deployment: string } & GenerationInput,
  options: GenerateOptions = {},
): AsyncGenerator<GenerationUpdate, void, undefined> {
  const { deadlines, id = crypto.randomUUID() } = options;
  using watchdog = new Watchdog(options.signal);
  if (deadlines !== undefined) watchdog.expect(deadlines.firstTokenMs, 'no first token came');
  const { signal } = watchdog;
  const stream = await mesh.open(peerId, methods.generate, { signal });
  // Between two reads, too: the lead must not go on for a caller that is gone.
  using _abort = onAbort(signal, () => stream.abort());
  let finished = false;
  let isFirst = true;
  try {
    const hears = options.onLeaving !== undefined && { hearsLeaving: true };
    const header = { type: 'generate', request: id, deployment, prompt: prompt.type, ...settings, ...hears };
    await stream.write(header, prompt.bytes, { signal });
    while (!finished) {
      const frame = await stream.read({ signal });
      if (frame === undefined) throw new SkeinError('peer-lost', 'the lead stopped before the end of the generation');
      const event = parseHeader(generationEventSchema, frame.header);
      if (event.type === 'generation-error') throw fromWireError(event.error);
      if (event.type === 'generation-leaving') {
        options.onLeaving?.();
        continue;
      }
      if (event.type === 'generation-begin') {
        // The wait for the first text goes on.
        if (!isFirst) throw new SkeinError('protocol-violation', 'the lead began the same generation twice');
        isFirst = false;
        yield event;
        continue;
      }
      isFirst = false;
      watchdog.rest();
      finished = event.type === 'generation-end';
      if (finished) await stream.end({ timeoutMs: 1000 }).catch(() => stream.abort());
      yield event;
      if (deadlines !== undefined) watchdog.expect(deadlines.gapMs, 'no next token came');
    }
  } catch (error) {
    // The stream was cut because of the signal, which knows better why.
    throwIfAborted(signal);
    throw error;
  } finally {
    if (!finished) stream.abort();
  }
}
