import { writeSync } from 'node:fs';

/** First line that a probe writes. */
export const startedLine = 'started\n';

/**
 * Says that the program of a probe is loaded, tries what may crash or hang, prints the answer as JSON and ends the
 * process. For the process that {@link runProbe} starts.
 */
export async function answerProbe(attempt: () => unknown): Promise<never> {
  // At once: a foreign library may hold the thread from here on.
  writeSync(process.stdout.fd, startedLine);
  const answer = JSON.stringify(await attempt());
  await new Promise((resolve) => process.stdout.write(answer, resolve));
  process.exit(0);
}
