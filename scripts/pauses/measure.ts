import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { AdminClient, connect, openCoordinator, type Fetch, type SkeinClient } from '@skein/client';
import { adminRoutes, type MeshStatus } from '@skein/protocol';

import { restore } from '../faults/arrangement.ts';
import { until } from '../faults/until.ts';
import { startHouse, type House } from './house.ts';
import { answerTokensIn, type PauseCase, type PauseSample } from './pause.ts';

export interface MeasureOptions {
  readonly model: { readonly name: string; readonly path: string };
  readonly cases: readonly PauseCase[];
  readonly roundsOf: (one: PauseCase) => number;
  readonly signal: AbortSignal;
  /** Called with each sample; without one where the answer ended before it was moved, which counts for nothing. */
  readonly onSample: (one: PauseCase, sample: PauseSample | undefined) => void;
}

/** Returns the time from the first text to the fault, in milliseconds: each round strikes at another moment of an answer. */
const beforeMs = (round: number): number => 1000 * (1 + (round % 5));
const readyMs = 120_000;
/** An answer that no control token ends, by a grammar without an end: matching it costs next to nothing. */
const endless = { temperature: 0, grammar: 'root ::= [a-z ] root', speculation: false };
const question = 'Retell this as a child would. '.concat('The river rose in the night and took the bridge. '.repeat(8));

/** Measures, in each case and round, how long the reader of one answer waits when what computes it is lost. */
export async function measurePauses(options: MeasureOptions): Promise<ReadonlyMap<string, readonly PauseSample[]>> {
  const { model, cases, roundsOf, signal, onSample } = options;
  await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-pauses-'));
  await using stack = new AsyncDisposableStack();
  const house = await startHouse(stack, { directory: temporary.path, model: model.path, signal });
  const client = stack.use(await connect({ url: house.url, signal }));
  const samples = new Map(cases.map(({ key }) => [key, [] as PauseSample[]]));
  for (const one of cases) {
    for (let round = 0; round < roundsOf(one); round += 1) {
      await arrange(house, model.name, one, signal);
      const sample = await measure(house, client, { model: model.name, one, round, signal });
      if (sample !== undefined) samples.get(one.key)?.push(sample);
      onSample(one, sample);
    }
  }
  return samples;
}

async function arrange({ url, peers }: House, name: string, one: PauseCase, signal: AbortSignal): Promise<void> {
  const { replicas, stages } = one;
  const models = [{ name, path: '', holders: [], replicas, stages }];
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(readyMs)]);
  for (const peer of peers) await openCoordinator({ url }).undrain(peer, { signal });
  const reach: Fetch = async (path, request) => {
    const { pathname, search } = new URL(path);
    return await fetch(new URL(`${pathname}${search}`, url), request);
  };
  await restore({ fetch: reach, peers, models }, inTime);
}

interface Measurement {
  readonly model: string;
  readonly one: PauseCase;
  readonly round: number;
  readonly signal: AbortSignal;
}

async function measure(house: House, client: SkeinClient, wanted: Measurement): Promise<PauseSample | undefined> {
  const { model, one, round, signal } = wanted;
  // Each round reads its prompt anew.
  const prompt = `${one.key} ${round}. ${question}`;
  const generation = client.complete({ ...endless, model, prompt, maxTokens: answerTokensIn(one) }, { signal });
  let [text, textBefore, lastMs, pauseMs, struckMs] = ['', '', performance.now(), 0, Number.POSITIVE_INFINITY];
  let over: Promise<(() => Promise<void>) | undefined> | undefined;
  let hasMoved = false;
  for await (const part of generation) {
    const nowMs = performance.now();
    if (nowMs > struckMs && nowMs - lastMs > pauseMs) [pauseMs, textBefore] = [nowMs - lastMs, text];
    lastMs = nowMs;
    text += part.text;
    if (hasMoved) break;
    over ??= delay(beforeMs(round), undefined, { signal }).then(async () => {
      const victim = await busyPeer(house, one, signal);
      struckMs = performance.now();
      const mend = await strike(house, victim, one, signal);
      // A machine is drained once its answers go on elsewhere; the rest of this one would tell nothing.
      hasMoved = one.action === 'drain';
      return mend;
    });
  }
  const toldMs = hasMoved ? undefined : (await generation.result()).usage.pauseMs;
  await (
    await over
  )?.();
  if (!hasMoved && toldMs === undefined) return undefined;
  const sample = { pauseMs: Math.round(pauseMs), ...(toldMs !== undefined && { toldMs }) };
  if (round > 0) return sample;
  const replayMs = await firstTokenMs(client, { model, prompt: `alone ${prompt}${textBefore}`, signal });
  return { ...sample, replayMs: Math.round(replayMs) };
}

/** Finds the peer of the lead that has the request, or of the last stage. */
async function busyPeer({ url }: House, { action }: PauseCase, signal: AbortSignal): Promise<string> {
  let found: string | undefined;
  const look = async (): Promise<boolean> => {
    const { cards }: MeshStatus = await new AdminClient({ url }).ask(adminRoutes.status, {}, { signal });
    const held = cards.flatMap(({ peer, stages }) => stages.map((stage) => ({ peer, ...stage })));
    const lead = held.find(({ stage, active }) => stage === 0 && active > 0);
    const isLast = action === 'kill-last-engine';
    const last = held.find(({ deployment, stage }) => deployment === lead?.deployment && stage > 0);
    found = isLast ? last?.peer : lead?.peer;
    return found !== undefined;
  };
  await until(look, { timeoutMs: 5000, what: 'the wait for a lead with the request', signal });
  if (found === undefined) throw new Error('no lead has the request');
  return found;
}

/**
 * Loses the replica on a peer. Returns what brings the peer back where the answer can go on without it: its start would
 * take the processors of this machine from the replica that is left, as that of another machine would not.
 */
async function strike(
  house: House,
  victim: string,
  { action, isAlone }: PauseCase,
  signal: AbortSignal,
): Promise<(() => Promise<void>) | undefined> {
  switch (action) {
    case 'kill-engine':
    case 'kill-last-engine':
      for (const pid of await house.enginesOf(victim)) process.kill(pid, 'SIGKILL');
      return undefined;
    case 'kill-peer':
      await house.killPeer(victim);
      if (!isAlone) return async () => await house.startPeer(victim);
      await house.startPeer(victim);
      return undefined;
    case 'drain':
      await openCoordinator({ url: house.url }).drain(victim, { signal });
      return undefined;
  }
}

/** Returns the time to the first token of a request that no cache knows, in milliseconds. */
async function firstTokenMs(
  client: SkeinClient,
  { model, prompt, signal }: { readonly model: string; readonly prompt: string; readonly signal: AbortSignal },
): Promise<number> {
  const beganMs = performance.now();
  const generation = client.complete({ ...endless, model, prompt, maxTokens: 1 }, { signal });
  for await (const { text } of generation) if (text !== '') break;
  return performance.now() - beganMs;
}
