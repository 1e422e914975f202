import type { StageEvent } from '@skein/protocol';

const minimumIntervalMs = 100;

/**
 * Returns a function that passes on progress at most ten times a second, but always the first of each phase, its end
 * and all other events.
 */
export function throttledProgress(report: (event: StageEvent) => void, now = () => performance.now()) {
  let phase: string | undefined;
  let lastAt = Number.NEGATIVE_INFINITY;
  return (event: StageEvent): void => {
    if (event.type === 'stage-progress') {
      const isDue = event.phase !== phase || event.doneBytes >= event.totalBytes || now() - lastAt >= minimumIntervalMs;
      if (!isDue) return;
      phase = event.phase;
      lastAt = now();
    }
    report(event);
  };
}
