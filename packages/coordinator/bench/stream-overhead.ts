/**
 * A benchmark of the HTTP layer's cost per streamed token, without a mesh or an engine: scripted generations, read by a
 * client in another process. `node packages/coordinator/bench/stream-overhead.ts [tokens] [streams]` prints one line of
 * JSON per way in which tokens come: `burst`, all of them ready at once, and `paced`, one a turn of the event loop.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { silentLogger } from '@skein/protocol';
import type { GenerationUpdate } from '@skein/serving';

import { Admission } from '../src/admission/index.ts';
import { noAudit } from '../src/audit/port.ts';
import { Requests } from '../src/audit/requests.ts';
import { createApp, HttpServer, type GenerationPort, type ServedModel } from '../src/http/index.ts';
import { schedule } from '../src/timers.ts';

const end: GenerationUpdate = {
  type: 'generation-end',
  finishReason: 'stop',
  usage: { promptTokens: 7, completionTokens: 2 },
  timings: { firstTokenMs: 12, decodeMs: 34 },
};
const model: ServedModel = { id: 'tiny', model: 'ab'.repeat(32), name: 'tiny', aliases: [], bytes: 1, isServed: true };
const pieces = [' the', ' sea', ',', '\n', ' "blue"', ' überall', ' and', '.'];

async function* burst(tokens: number): AsyncGenerator<GenerationUpdate, void, undefined> {
  for (let token = 0; token < tokens; token += 1) {
    yield { type: 'text-delta', text: pieces[token % pieces.length] ?? '', tokens: [token] };
  }
  yield end;
}

async function* paced(tokens: number): AsyncGenerator<GenerationUpdate, void, undefined> {
  for await (const update of burst(tokens)) {
    await nextTurn();
    yield update;
  }
}

const scripts = { burst, paced };

async function measure(script: keyof typeof scripts, { tokens, streams }: { tokens: number; streams: number }) {
  const generations: GenerationPort = {
    models: () => [model],
    find: () => model,
    generate: () => {
      const events = scripts[script](tokens);
      const route = { deployment: 'deployment-1', lead: 'lead' };
      return [{ route, transcript: { continuation: undefined }, [Symbol.asyncIterator]: () => events }];
    },
  };
  const app = createApp({
    generations,
    admission: new Admission({
      replicas: { sequencesOf: () => [streams], prepare: notUsed },
      schedule,
      nowMs: () => performance.now(),
    }),
    requests: new Requests({ audit: noAudit, now: Date.now }),
    administration: { status: () => ({}), deploy: notUsed, undeploy: notUsed },
    stopped: new AbortController().signal,
    logger: silentLogger,
    now: Date.now,
    newId: () => '0e2be2a4-5a5c-4b5c-8a6e-3a4f1f6b2a11',
    randomSeed: () => 1,
    schedule,
  });
  const server = new HttpServer(app, { host: '127.0.0.1', port: 0 });
  const url = await server.start();
  const script_ = scripts[script];
  const eventsMicroseconds = await cpuOf(async () => {
    await Promise.all(Array.from({ length: streams }, async () => await drain(script_(tokens))));
  });
  let bytes = 0;
  const startedMs = performance.now();
  const streamMicroseconds = await cpuOf(async () => {
    const child = spawn(process.execPath, [import.meta.filename, '--client', url, String(streams)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (data: Buffer) => (bytes += Number(data.toString())));
    await once(child, 'exit');
  });
  const seconds = (performance.now() - startedMs) / 1000;
  await server.stop();
  const all = tokens * streams;
  return {
    script,
    streams,
    tokens: all,
    microsecondsPerToken: round((streamMicroseconds - eventsMicroseconds) / all),
    ofWhichScript: round(eventsMicroseconds / all),
    tokensPerSecond: Math.round(all / seconds),
    bytesPerToken: round(bytes / all),
  };
}

async function notUsed(): Promise<never> {
  throw new Error('not used');
}

async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

async function cpuOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

async function client(url: string, streams: number): Promise<void> {
  const body = JSON.stringify({ model: 'org/tiny', messages: [{ role: 'user', content: 'Hi' }], stream: true });
  const read = async (): Promise<number> => {
    const sent = request(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': body.length },
    });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [AsyncIterable<Buffer>];
    let bytes = 0;
    for await (const chunk of response) bytes += chunk.byteLength;
    return bytes;
  };
  const counts = await Promise.all(Array.from({ length: streams }, read));
  process.stdout.write(String(counts.reduce((sum, count) => sum + count, 0)));
}

const [first, second, third] = process.argv.slice(2);
if (first === '--client') {
  await client(second ?? '', Number(third));
} else {
  const [tokens, streams] = [Number(first ?? 20_000), Number(second ?? 8)];
  // The first round is for the compiler.
  await measure('paced', { tokens, streams: 1 });
  for (const script of ['burst', 'paced'] as const) {
    for (const count of [1, streams])
      process.stdout.write(`${JSON.stringify(await measure(script, { tokens, streams: count }))}\n`);
  }
}
