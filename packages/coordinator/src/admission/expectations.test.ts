import { expect, it } from 'vitest';

import { randomNumbers } from '../testing/fixtures.ts';
import { ModelQueue, type AdmissionRequest, type Ticket } from './model-queue.ts';

const request: AdmissionRequest = { principal: 'local', priority: 'interactive', sequences: 1, promptTokens: 10 };

const random = randomNumbers(3);

interface Run {
  /** Waits of requests that queued, as they were told and as they were. */
  readonly waits: { readonly toldMs: number; readonly tookMs: number }[];
  /** Whether each refused request was taken when it came again as it was told. */
  readonly returns: boolean[];
}

/** Returns random times of arrival, so far apart on average. */
function arrivals(count: number, { fromMs = 0, everyMs }: { readonly fromMs?: number; readonly everyMs: number }) {
  let atMs = fromMs;
  return Array.from({ length: count }, () => (atMs -= Math.log(1 - random()) * everyMs));
}

/** Serves requests that come at these times, each for a time that is drawn, on two replicas of four sequences. */
function serve(comeAtMs: readonly number[], drawMs: () => number): Run {
  const queue = new ModelQueue({ aheadPerReplica: 0, waitingPerSequence: 8 });
  queue.setReplicas([4, 4]);
  const run: Run = { waits: [], returns: [] };
  const events: { readonly atMs: number; readonly act: () => void }[] = [];
  const entered = new Map<Ticket, { readonly atMs: number; readonly toldMs: number | undefined }>();
  let nowMs = 0;
  const at = (atMs: number, act: () => void) => {
    const place = events.findIndex((event) => event.atMs > atMs);
    if (place === -1) events.push({ atMs, act });
    else events.splice(place, 0, { atMs, act });
  };
  const admit = () => {
    for (const ticket of queue.admit(nowMs)) {
      const { atMs, toldMs } = entered.get(ticket) ?? { atMs: nowMs, toldMs: undefined };
      if (toldMs !== undefined && nowMs > atMs) run.waits.push({ toldMs, tookMs: nowMs - atMs });
      at(nowMs + drawMs(), () => {
        queue.leave(ticket, { promptTokens: 10, generatedTokens: 10 }, nowMs);
        admit();
      });
    }
  };
  const enter = ({ isReturn }: { readonly isReturn: boolean }) => {
    const result = queue.enter(request, nowMs);
    const isTaken = !('reason' in result);
    if (isReturn) run.returns.push(isTaken);
    if ('reason' in result) {
      if (!isReturn) at(nowMs + result.retryAfterMs, () => enter({ isReturn: true }));
      return;
    }
    entered.set(result, { atMs: nowMs, toldMs: queue.outlookOf(result, nowMs).expectedWaitMs });
    admit();
  };
  for (const atMs of comeAtMs) at(atMs, () => enter({ isReturn: false }));
  for (let event = events.shift(); event !== undefined; event = events.shift()) {
    nowMs = event.atMs;
    event.act();
  }
  return run;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const durations = {
  'all take the same time': () => 2000,
  'take from 1 to 3 seconds': () => 1000 + 2000 * random(),
  'take times without memory': () => -Math.log(1 - random()) * 2000,
};

it.each(Object.entries(durations))('tells waits that hold where answers %s', (_, drawMs) => {
  const { waits } = serve(arrivals(2000, { everyMs: 220 }), drawMs);
  expect(waits.length).toBeGreaterThan(1000);
  const ratio = median(waits.map(({ toldMs, tookMs }) => tookMs / toldMs));
  expect(ratio).toBeGreaterThan(0.8);
  expect(ratio).toBeLessThan(1.25);
});

it('has room for those that come again when they were told to', () => {
  // Three times as many as may wait, at once.
  const burst = arrivals(200, { fromMs: 20_000, everyMs: 1 });
  const { returns } = serve([...arrivals(40, { everyMs: 400 }), ...burst], durations['take from 1 to 3 seconds']);
  expect(returns.length).toBeGreaterThan(100);
  expect(returns.filter((isTaken) => isTaken).length / returns.length).toBeGreaterThan(0.9);
});
