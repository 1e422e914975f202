import { SkeinError } from '@skein/protocol';

const keptErrors = 8;
/** Longest quoted reason, in characters. */
const maxReasonCharacters = 300;

/** The errors of llama.cpp's log since it was cleared, at most the first few: later ones are their consequences. */
export class ErrorLog {
  readonly #texts: string[] = [];

  add(text: string): void {
    if (this.#texts.length < keptErrors) this.#texts.push(text);
  }

  clear(): void {
    this.#texts.length = 0;
  }

  get first(): string | undefined {
    return this.#texts[0];
  }

  /** Whether one of them says that memory ran out. */
  get tellOfMemory(): boolean {
    return this.#texts.some((text) => ofMemory.test(text));
  }
}

/** llama.cpp's words for memory, of a GPU or main memory, that ran out. */
const ofMemory = /alloc|out of memory/i;

/** llama.cpp's words for faults of the machine rather than the file. */
const ofTheMachine = /alloc|memory|mlock|mmap|failed to open|backend|device/i;

/**
 * Makes the error for a file that llama.cpp did not load: `model-invalid` when the file is at fault, `engine-failed`
 * when the machine is; its detail `outOfMemory` then tells whether memory ran out.
 *
 * @param text llama.cpp's log of it; undefined when it logged nothing
 * @param path of the file, which the error keeps to itself
 */
export function loadFailure(text: string | undefined, path: string): SkeinError {
  if (text === undefined)
    return new SkeinError('engine-failed', 'llama.cpp could not load the model, and does not say why');
  const reason = publicReason(text, path);
  return ofTheMachine.test(reason)
    ? new SkeinError('engine-failed', `llama.cpp could not load the model: ${reason}`, {
        details: { outOfMemory: ofMemory.test(text) },
      })
    : new SkeinError('model-invalid', `llama.cpp refuses the model: ${reason}; choose another file or a newer Skein`);
}

/**
 * Makes the error `engine-failed` for a context that llama.cpp did not make; its detail `outOfMemory` tells whether
 * memory ran out.
 *
 * @param errors llama.cpp's log of it
 */
export function contextFailure(errors: ErrorLog): SkeinError {
  const reason = publicReason(errors.first ?? 'it does not say why');
  const fix = /cache type|quantized V cache/i.test(reason)
    ? 'choose another type for the KV cache'
    : 'ask for a smaller context';
  return new SkeinError('engine-failed', `llama.cpp could not make the context: ${reason}; ${fix}`, {
    details: { outOfMemory: errors.tellOfMemory },
  });
}

/**
 * Returns one line of llama.cpp's log, without the name of the function that wrote it, without paths of this machine
 * (`path` among them) and without control characters: texts of the model's file may be in it.
 */
export function publicReason(text: string, path?: string): string {
  const [line = ''] = (path === undefined ? text : text.replaceAll(path, 'the file')).trim().split('\n');
  return (
    line
      .replace(/^(\w+: )+/, '')
      .replace(/^(error loading model(:| \w+:) )+/, '')
      .replace(/^(\w+: )+/, '')
      .replaceAll(/(?<![\w.])(\/|[A-Za-z]:\\)[^\s'":()]+[/\\]/g, '')
      // eslint-disable-next-line no-control-regex -- those are meant
      .replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
      .slice(0, maxReasonCharacters)
  );
}
