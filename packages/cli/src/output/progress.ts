import type { Writable } from 'node:stream';

import { Presets, SingleBar } from 'cli-progress';

import { formatBytes } from './format.ts';

/** How far something is, in bytes. */
export interface Step {
  /** What is going on, e.g. `download`. A new one starts over. */
  readonly label: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface Progress extends Disposable {
  show(step: Step): void;
}

/** Between two lines where there is no terminal, in percent of the whole. */
const sparsePercent = 25;

/** A bar on a terminal; elsewhere a line at the start, at every quarter and at the end of each step. */
export function createProgress(stream: Writable & { readonly isTTY?: boolean }): Progress {
  return stream.isTTY === true ? barProgress(stream) : lineProgress(stream);
}

function barProgress(stream: Writable): Progress {
  let bar: SingleBar | undefined;
  let label: string | undefined;
  const finish = () => bar?.stop();
  return {
    show(step) {
      if (step.label !== label) {
        finish();
        label = step.label;
        const format = '{label} {bar} {percentage}% of {total_text}';
        bar = new SingleBar(
          // It would put handlers of its own on SIGINT and SIGTERM, and those exit the process.
          { format, stream, hideCursor: false, gracefulExit: false },
          Presets.shades_classic,
        );
        bar.start(step.totalBytes, step.doneBytes, payload(step));
      }
      bar?.update(step.doneBytes, payload(step));
    },
    [Symbol.dispose]: finish,
  };
}

function payload({ label, totalBytes }: Step): object {
  return { label, total_text: formatBytes(totalBytes) };
}

function lineProgress(stream: Writable): Progress {
  let label: string | undefined;
  let shownPercent = 0;
  return {
    show(step) {
      const percent = step.totalBytes === 0 ? 100 : Math.floor((step.doneBytes / step.totalBytes) * 100);
      const isNew = step.label !== label;
      const isDue = percent >= shownPercent + sparsePercent || (percent === 100 && shownPercent < 100);
      if (!isNew && !isDue) return;
      label = step.label;
      shownPercent = percent;
      stream.write(`${step.label}: ${percent}% of ${formatBytes(step.totalBytes)}\n`);
    },
    [Symbol.dispose]: () => undefined,
  };
}
