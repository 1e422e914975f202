import type { Writable } from 'node:stream';

import { formatBytes, onAbort } from '@skein/protocol';
import { Presets, SingleBar } from 'cli-progress';

import { printable } from './format.ts';

/** Progress of one step, in bytes. */
export interface Step {
  /** Name of the step, e.g. `download`. A new one completes the step before. */
  readonly label: string;
  /** Source. Another one for the same label means that this one has failed. */
  readonly from?: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface Progress extends Disposable {
  show(step: Step): void;
  /** Completes the last step. */
  complete(): void;
}

/** Distance between two lines where there is no terminal, in percent of the whole. */
const sparsePercent = 25;

/**
 * Makes a progress display: a bar on a terminal; elsewhere a line at the start, at every quarter and at the end of each
 * step. It draws nothing once the signal is aborted.
 */
export function createProgress(
  stream: Writable & { readonly isTTY?: boolean },
  { signal }: { readonly signal: AbortSignal },
): Progress {
  return stream.isTTY === true ? barProgress(stream, signal) : lineProgress(stream);
}

function titleOf({ label, from }: Step): string {
  return printable(from === undefined ? label : `${label} from ${from}`);
}

function barProgress(stream: Writable, signal: AbortSignal): Progress {
  let bar: SingleBar | undefined;
  let last: Step | undefined;
  const finish = () => {
    bar?.stop();
    bar = undefined;
  };
  const complete = () => {
    if (last !== undefined) bar?.update(last.totalBytes);
    finish();
  };
  const listening = onAbort(signal, finish);
  return {
    show(step) {
      if (signal.aborted) return;
      if (last !== undefined && titleOf(step) !== titleOf(last)) {
        if (step.from === last.from) complete();
        else finish();
      }
      last = step;
      if (bar === undefined) {
        const format = '{title} {bar} {percentage}% of {total_text}';
        bar = new SingleBar(
          // It would put handlers of its own on SIGINT and SIGTERM, and those exit the process.
          { format, stream, hideCursor: false, gracefulExit: false },
          Presets.shades_classic,
        );
        bar.start(step.totalBytes, step.doneBytes, payload(step));
      }
      // Stages enter a phase one after the other, each with bytes of its own.
      bar.setTotal(step.totalBytes);
      bar.update(step.doneBytes, payload(step));
    },
    complete,
    [Symbol.dispose]() {
      listening[Symbol.dispose]();
      finish();
    },
  };
}

function payload(step: Step): object {
  return { title: titleOf(step), total_text: formatBytes(step.totalBytes) };
}

function lineProgress(stream: Writable): Progress {
  let title: string | undefined;
  let shownPercent = 0;
  return {
    show(step) {
      const percent = step.totalBytes === 0 ? 100 : Math.floor((step.doneBytes / step.totalBytes) * 100);
      const isNew = titleOf(step) !== title;
      const isDue = percent >= shownPercent + sparsePercent || (percent === 100 && shownPercent < 100);
      if (!isNew && !isDue) return;
      title = titleOf(step);
      shownPercent = percent;
      stream.write(`${title}: ${percent}% of ${formatBytes(step.totalBytes)}\n`);
    },
    complete: () => undefined,
    [Symbol.dispose]: () => undefined,
  };
}
