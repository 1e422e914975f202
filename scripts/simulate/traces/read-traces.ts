import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Trace, TracedRequest } from './request.ts';

const blockTokens = 512;

/** Names of the recorded traces, and their files. */
const files = {
  mooncake: 'mooncake-conversation.jsonl',
  'azure-conv': 'azure-2023-conv.csv',
  'azure-code': 'azure-2023-code.csv',
} as const;
export type TraceName = keyof typeof files;
export const traceNames = Object.keys(files) as readonly TraceName[];

/** Reads a recorded trace. Returns undefined where its file is not there. */
export async function readTrace(directory: string, name: TraceName): Promise<Trace | undefined> {
  const text = await readFile(join(directory, files[name]), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split('\n').filter((line) => line !== '');
  const requests = name === 'mooncake' ? lines.map(mooncakeRequest) : azureRequests(lines.slice(1));
  return { name, blockTokens, requests: requests.toSorted((one, other) => one.atMs - other.atMs) };
}

function mooncakeRequest(line: string): TracedRequest {
  const { timestamp, input_length, output_length, hash_ids } = JSON.parse(line) as {
    timestamp: number;
    input_length: number;
    output_length: number;
    hash_ids: readonly number[];
  };
  return { atMs: timestamp, tokens: input_length, outputTokens: output_length, blocks: hash_ids };
}

/** Azure's traces tell of no prefixes: no two prompts have one in common. */
function azureRequests(lines: readonly string[]): readonly TracedRequest[] {
  const rows = lines.map((line) => line.trim().split(','));
  const times = rows.map(([time = '']) => Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`));
  const first = Math.min(...times);
  let nextBlock = 0;
  return rows.map(([, tokens, outputTokens], index) => {
    const blocks = Array.from({ length: Math.ceil(Number(tokens) / blockTokens) }, () => (nextBlock += 1));
    return {
      atMs: (times[index] ?? first) - first,
      tokens: Math.max(1, Number(tokens)),
      outputTokens: Math.max(1, Number(outputTokens)),
      blocks,
    };
  });
}
