import { isSkeinError } from '@skein/protocol';
import * as fc from 'fast-check';

import { fuzzTargets } from './targets.ts';

export interface FuzzReport {
  readonly target: string;
  readonly inputs: number;
  /** Number of inputs that were accepted. */
  readonly accepted: number;
  /** The smallest input found that breaks the decoder, and how; undefined when none was. */
  readonly failure: string | undefined;
}

/** Shares `inputs` inputs among the decoders that a remote can reach. They may throw SkeinErrors only. */
export async function fuzz(options: {
  readonly inputs: number;
  /** Seed of the inputs; left out, a new one each time. A failure names the one that found it. */
  readonly seed?: number | undefined;
  readonly onTarget?: (report: FuzzReport) => void;
}): Promise<readonly FuzzReport[]> {
  const reports: FuzzReport[] = [];
  const targets = await fuzzTargets();
  const inputsPerTarget = Math.ceil(options.inputs / targets.length);
  for (const target of targets) {
    const { name, inputs } = target;
    let accepted = 0;
    const property = fc.asyncProperty(inputs, async (input) => {
      try {
        await target.decode(input);
        accepted += 1;
      } catch (error) {
        if (!isSkeinError(error)) throw error;
      }
    });
    const { seed } = options;
    const details = await fc.check(property, { numRuns: inputsPerTarget, ...(seed !== undefined && { seed }) });
    const report = {
      target: name,
      inputs: details.numRuns,
      accepted,
      failure: details.failed ? fc.defaultReportMessage(details) : undefined,
    };
    reports.push(report);
    options.onTarget?.(report);
  }
  return reports;
}
