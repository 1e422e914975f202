import { createInterface } from 'node:readline';

/** A measurement of a child: an engine's speed in a plain loop, without HTTP and without a mesh. */
export type EngineCommand =
  /** Decodes sequences together, each after a prompt that does not count. */
  | { readonly type: 'decode'; readonly sequences: number; readonly promptTokens: number; readonly tokens: number }
  /** Reads one prompt, in chunks. */
  | { readonly type: 'prefill'; readonly tokens: number };

/** The arguments of a child's process: one of its command line, in JSON. */
export interface EngineArguments {
  readonly path: string;
  readonly hiddenSize: number;
  /** Tokens of KV cache, shared by all sequences. */
  readonly contextTokens: number;
  readonly sequences: number;
}

export interface EngineResult {
  readonly tokens: number;
  readonly milliseconds: number;
}

/**
 * Serves as a child: reports that it is ready, and then answers each line with a command by a line with its result,
 * until its input ends.
 */
export async function serveCommands(
  run: (command: EngineCommand) => EngineResult | Promise<EngineResult>,
): Promise<void> {
  process.stdout.write('ready\n');
  for await (const line of createInterface(process.stdin)) {
    process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as EngineCommand))}\n`);
  }
}

/** Parses the arguments of this child's process. */
export function engineArguments(): EngineArguments {
  return JSON.parse(process.argv[2] ?? '') as EngineArguments;
}
