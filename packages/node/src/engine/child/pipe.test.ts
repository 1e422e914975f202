import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';

import { encodeFrame } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

/** Frames that a process took in each turn of its event loop, of three that had come with one write. */
async function framesByTurn(turnMs: number, workMs = 0): Promise<unknown> {
  const script = `
    import { FramePipe } from ${JSON.stringify(new URL('pipe.ts', import.meta.url).href)};
    const turns = [];
    let inTurn = 0;
    new FramePipe(3, {
      turnMs: ${turnMs},
      onFrame: ({ header }) => {
        for (const startedMs = performance.now(); performance.now() - startedMs < ${workMs};);
        if (inTurn++ === 0) setImmediate(() => {
          turns.push(inTurn);
          inTurn = 0;
          if (header.step + turns.at(-1) > 3) process.exit(console.log(JSON.stringify(turns)));
        });
      },
      onClose: (error) => console.error('the pipe has closed', error),
    });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  const [, stdout, , pipe] = child.stdio as unknown as [null, Socket, null, Socket];
  const exited = once(child, 'exit');
  pipe.write(Buffer.concat([1, 2, 3].map((step) => encodeFrame({ type: 'sampled', step, draws: [] }))));
  const output = await text(stdout);
  await exited;
  return JSON.parse(output);
}

describe('a pipe of frames', () => {
  it('takes all that have come in one turn, so that requests that come together are computed together', async () => {
    expect(await framesByTurn(10_000)).toEqual([3]);
  });

  it('takes no more in a turn once those before have taken long', async () => {
    expect(await framesByTurn(20, 30)).toEqual([1, 1, 1]);
  });

  it('takes one a turn where each may mean to compute', async () => {
    expect(await framesByTurn(0)).toEqual([1, 1, 1]);
  });
});
