import { simulate } from '../fleet/simulate.ts';
import { summarize, type Summary } from '../report.ts';
import { skein } from '../routers/skein.ts';
import type { Trace } from '../traces/request.ts';
import { offices } from './offices.ts';
import { placers } from './placers.ts';
import { replicaEngine } from './replica-engine.ts';

/** The outcome of one way to place one model. */
export interface PlacementRow extends Pick<Summary, 'ttftMs'> {
  readonly office: string;
  readonly placer: string;
  /** Machines of each replica. Empty where the model does not fit that way. */
  readonly machines: readonly number[];
  /** Greatest speed of one stream. */
  readonly oneStreamTokensPerSecond: number;
  /** Speed of all replicas together, with all their sequences. */
  readonly saturatedTokensPerSecond: number;
}

/**
 * Places models in an office in Skein's way and in those of others, and sends the same requests to the replicas, through
 * Skein's router: `load` is the share of the capacity that Skein's replicas have.
 */
export function comparePlacements(options: {
  readonly trace: Trace;
  readonly load: number;
  readonly seed: number;
}): readonly PlacementRow[] {
  return offices.flatMap((office) => {
    const placed = placers.map(({ name, place }) => {
      const placements = place(office);
      return { name, placements, replicas: placements.map((placement) => replicaEngine(placement, office)) };
    });
    const own = placed.find(({ name }) => name === 'Skein')?.replicas ?? [];
    return placed.map(({ name, placements, replicas }) => {
      const engines = replicas.map(({ engine }) => engine);
      const capacityOf = own.map(({ engine }) => engine);
      const outcomes =
        engines.length === 0 ? [] : simulate({ ...options, replicas: engines, capacityOf, router: skein });
      return {
        office: office.name,
        placer: name,
        machines: placements.map((stages) => stages.length),
        oneStreamTokensPerSecond: Math.max(0, ...replicas.map((replica) => replica.oneStreamTokensPerSecond)),
        saturatedTokensPerSecond: replicas.reduce((sum, replica) => sum + replica.saturatedTokensPerSecond, 0),
        ttftMs: summarize(outcomes).ttftMs,
      };
    });
  });
}

/** Makes a Markdown table of the placements. */
export function placementTable(rows: readonly PlacementRow[]): string {
  const cells = rows.map((row) => {
    const speeds = [row.oneStreamTokensPerSecond, row.saturatedTokensPerSecond].map((speed) => speed.toFixed(1));
    const times = [row.ttftMs.p50, row.ttftMs.p95].map((ms) => `${Math.round(ms)}`);
    if (row.machines.length === 0) return [row.office, row.placer, 'does not fit', '', '', '', ''];
    return [row.office, row.placer, row.machines.join(' + '), ...speeds, ...times];
  });
  const head = ['model', 'placement', 'machines', 'one stream tok/s', 'all tok/s', 'p50 TTFT ms', 'p95 TTFT ms'];
  return [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`).join('\n');
}
