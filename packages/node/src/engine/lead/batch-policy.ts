import { invariant } from '@skein/protocol';

import type { MicroBatchTuning, TileTuning } from '../micro-batch-tuning.ts';
import type { Sequence } from './sequence.ts';

export interface BatchOptions extends MicroBatchTuning {
  /** Number of stages of the pipeline. */
  readonly stages: number;
}

/** The facts of a running sequence that decide about its rows. */
export type Ready = Pick<Sequence, 'unsent' | 'readsTiles' | 'isLeaving' | 'draws' | 'moves' | 'stepsBeside'>;

/**
 * Most rows of sequences that draw nothing in a micro-batch beside those that draw, which wait for them. A tile, which goes
 * alone, comes after as many micro-batches as make it so many rows each.
 */
const rowsBeside = 8;

/** Rows of one sequence in the next micro-batch: known tokens, and draft tokens behind them. */
export interface PlannedRows<Of> {
  readonly sequence: Of;
  readonly knownTokens: number;
  readonly draft: readonly number[];
}

export interface BatchPlan<Of> {
  readonly rows: readonly PlannedRows<Of>[];
  /**
   * Whether some sequence got no row for want of cells. Where it is false and there are no rows, no sequence has any to
   * send.
   */
  readonly isStarved: boolean;
  /** Draft tokens that there is room for beside the rows; none beside a prompt's. */
  readonly draftRoom: number;
}

/**
 * Plans the known tokens of the next micro-batch: decoding sequences first, then prompts in chunks. It holds at most a
 * fair share of the running sequences, so that the others can fill the ring's other places. A tile goes alone, when it
 * is its sequence's turn: it would change how the rows of others are rounded. Sequences that draw nothing come last, with
 * few rows beside those that draw, and with tiles, now and then, where a generation is sure to go on behind them.
 *
 * @param running sequences in the order of their turns
 * @param freeCells cells of the KV cache, of which each row takes one
 */
export function planBatch<Of extends Ready>(
  running: readonly Of[],
  freeCells: number,
  options: BatchOptions,
): BatchPlan<Of> {
  const isAlone = !running.some(({ draws }) => draws);
  const isTileDue = ({ moves, stepsBeside }: Of): boolean =>
    moves && stepsBeside * rowsBeside >= (options.tiles?.rows ?? 0);
  const mayRead = (one: Of): boolean => one.draws || isAlone || !one.readsTiles || isTileDue(one);
  const ready = running.filter((one) => one.unsent > 0 && !one.isLeaving && mayRead(one));
  const [first] = ready;
  if (first === undefined) return { rows: [], isStarved: false, draftRoom: 0 };
  if (!first.readsTiles) return planRows({ ready, running: running.length, freeCells, isAlone }, options);
  const { rows } = invariant(options.tiles, 'only a scheduler with tiles plans to read in tiles');
  if (freeCells < rows) return { rows: [], isStarved: true, draftRoom: 0 };
  return { rows: [{ sequence: first, knownTokens: rows, draft: [] }], isStarved: false, draftRoom: 0 };
}

function planRows<Of extends Ready>(
  {
    ready,
    running,
    freeCells,
    isAlone,
  }: {
    readonly ready: readonly Of[];
    readonly running: number;
    readonly freeCells: number;
    readonly isAlone: boolean;
  },
  { stages, batchTokens, chunkTokens, draftTokens }: BatchOptions,
): BatchPlan<Of> {
  const share = Math.ceil(running / stages);
  const byRows = ready.filter(({ readsTiles }) => !readsTiles);
  const place = ({ unsent, draws }: Of): number => (draws ? Number(unsent > 1) : 2);
  byRows.sort((one, other) => place(one) - place(other));
  const rows: PlannedRows<Of>[] = [];
  let [batchRoom, promptRoom, cells] = [batchTokens, chunkTokens, freeCells];
  let isStarved = false;
  for (const sequence of byRows.slice(0, share)) {
    const isDecoding = sequence.unsent === 1 && sequence.draws;
    const most = sequence.draws || isAlone ? sequence.unsent : Math.min(sequence.unsent, rowsBeside);
    const wanted = isDecoding ? Math.min(1, batchRoom) : Math.min(most, batchRoom, promptRoom);
    if (wanted === 0) break;
    // A prompt leaves a cell for the next token of each other sequence.
    const knownTokens = Math.min(wanted, isDecoding ? cells : cells - (running - 1));
    if (knownTokens <= 0) {
      isStarved = true;
      break;
    }
    rows.push({ sequence, knownTokens, draft: [] });
    batchRoom -= knownTokens;
    cells -= knownTokens;
    if (!isDecoding) promptRoom -= knownTokens;
  }
  // Draft tokens never take a cell that a known token needs.
  const draftRoom = promptRoom < chunkTokens ? 0 : Math.max(0, Math.min(draftTokens, batchRoom, cells - running));
  return { rows, isStarved, draftRoom };
}

/**
 * Returns how many micro-batches may be in flight. A prompt's chunks are as long whatever else is in flight, so one
 * more costs nothing, and hides the way between stages. Decoding sequences in smaller micro-batches would read the
 * weights more often.
 */
export function placesInRing(running: readonly Ready[], stages: number): number {
  const isAlone = !running.some(({ draws }) => draws);
  const isReading = stages > 1 && running.some(({ unsent, draws }) => unsent > 1 && (draws || isAlone));
  return isReading ? stages + 1 : stages;
}

/** Returns how many cells have to be free for the next micro-batch, whatever goes into it. */
export function cellsForBatch(
  running: readonly Pick<Sequence, 'sent' | 'request'>[],
  { batchTokens, draftTokens, tiles }: MicroBatchTuning,
): number {
  const most = Math.max(batchTokens, tiles?.rows ?? 0) + draftTokens;
  const wanted = running.reduce((total, { request, sent }) => total + request.mostTokens - sent, 0);
  return Math.min(most, wanted);
}

/**
 * Returns how many of a prompt's first tokens are read in tiles; 0 for none. Its last token is not among them, so that
 * the first token is drawn after the same logits when all before it comes from the cache the next time. A sequence that
 * comes back reads again by rows whatever it has read by rows.
 */
export function tiledTokens(
  { request, hasBegun, hasTiles }: Pick<Sequence, 'request' | 'hasBegun' | 'hasTiles'>,
  cachedTokens: number,
  tiles: TileTuning | undefined,
): number {
  const tokens = request.prompt.length - cachedTokens;
  if (tiles === undefined || tokens < 1) return 0;
  if (hasBegun ? !hasTiles : tokens < tiles.from) return 0;
  return cachedTokens + Math.floor((tokens - 1) / tiles.rows) * tiles.rows;
}
