import type { SimulatedRequest } from './fleet/simulate.ts';

/** Figures of one run. */
export interface Summary {
  readonly requests: number;
  readonly ttftMs: { readonly p50: number; readonly p95: number; readonly mean: number };
  /** Share of the prompt tokens that caches had. */
  readonly cachedShare: number;
}

export interface Row extends Summary {
  readonly trace: string;
  readonly load: number;
  readonly router: string;
}

/** Returns the figures of a run. */
export function summarize(outcomes: readonly SimulatedRequest[]): Summary {
  const times = outcomes.map(({ ttftMs }) => ttftMs).toSorted((one, other) => one - other);
  const at = (share: number): number => times[Math.floor(share * times.length)] ?? 0;
  const total = (of: (outcome: SimulatedRequest) => number): number => outcomes.reduce((sum, one) => sum + of(one), 0);
  return {
    requests: outcomes.length,
    ttftMs: { p50: at(0.5), p95: at(0.95), mean: total(({ ttftMs }) => ttftMs) / outcomes.length },
    cachedShare: total(({ cachedTokens }) => cachedTokens) / total(({ request }) => request.tokens),
  };
}

/** Makes a Markdown table of the runs. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map(({ trace, load, router, ttftMs, cachedShare }) => {
    const shown = [ttftMs.p50, ttftMs.p95].map((ms) => `${Math.round(ms)}`);
    return [trace, `${Math.round(load * 100)} %`, router, ...shown, `${(100 * cachedShare).toFixed(1)} %`];
  });
  const head = ['trace', 'load', 'router', 'p50 TTFT ms', 'p95 TTFT ms', 'cached'];
  return [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** Lists the figures in which some router is better than Skein, by more than a thousandth. */
export function losses(rows: readonly Row[]): readonly string[] {
  const own = rows.filter(({ router }) => router === 'Skein');
  return own.flatMap((mine) => {
    const others = rows.filter(
      ({ trace, load, router }) => trace === mine.trace && load === mine.load && router !== mine.router,
    );
    const where = `${mine.trace} at ${Math.round(mine.load * 100)} %`;
    return others.flatMap((other) => [
      ...(['p50', 'p95'] as const)
        .filter((figure) => other.ttftMs[figure] < mine.ttftMs[figure] * 0.999)
        .map((figure) => {
          const [theirs, ours] = [other.ttftMs[figure], mine.ttftMs[figure]].map(Math.round);
          return `${where}, ${figure}: ${ours} ms, ${other.router} ${theirs} ms`;
        }),
      ...(other.cachedShare > mine.cachedShare * 1.001
        ? [`${where}, cached: ${percent(mine.cachedShare)}, ${other.router} ${percent(other.cachedShare)}`]
        : []),
    ]);
  });
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
