import { createInterface } from 'node:readline';

/** What the children measure: how fast an engine is in a plain loop, without HTTP and without a mesh. */
export type EngineCommand =
  /** Sequences that are decoded together, each after a prompt that does not count. */
  | { readonly type: 'decode'; readonly sequences: number; readonly promptTokens: number; readonly tokens: number }
  /** One prompt, in chunks. */
  | { readonly type: 'prefill'; readonly tokens: number };

/** How a child's process is started: one JSON argument. */
export interface EngineArguments {
  readonly path: string;
  readonly hiddenSize: number;
  /** Shared by all sequences. */
  readonly contextTokens: number;
  readonly sequences: number;
}

export interface EngineResult {
  readonly tokens: number;
  readonly milliseconds: number;
}

/**
 * A child's side: says that it is ready, and then answers each line with a command by a line with its result, until its
 * input ends.
 */
export async function serveCommands(
  run: (command: EngineCommand) => EngineResult | Promise<EngineResult>,
): Promise<void> {
  process.stdout.write('ready\n');
  for await (const line of createInterface(process.stdin)) {
    process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as EngineCommand))}\n`);
  }
}

export function engineArguments(): EngineArguments {
  return JSON.parse(process.argv[2] ?? '') as EngineArguments;
}
