import { SkeinError } from '@skein/protocol';
import type { Context } from 'hono';

import type { Outlook, Permit, Priority } from '../admission/index.ts';
import type { Schedule } from '../timers.ts';
import type { EventSink } from './event-stream/index.ts';
import { nodeResponse } from './node-exchange.ts';

/** A client's words on how its request may wait. */
export interface AdmissionHeaders {
  /** Default: the request's body may say. */
  readonly priority: Priority | undefined;
  /** Longest time until the answer is there, in milliseconds. Default: none. */
  readonly deadlineMs: number | undefined;
  /** Whether comments in a stream tell how the wait goes. */
  readonly wantsQueueEvents: boolean;
}

/** Longest deadline, in milliseconds: a day. */
const longestDeadlineMs = 86_400_000;

/**
 * Reads the headers that say how a request may wait.
 *
 * @throws SkeinError `invalid-request` for a value that is not known
 */
export function parseAdmissionHeaders(headers: Headers): AdmissionHeaders {
  const priority = headers.get('x-skein-priority');
  if (priority !== null && priority !== 'interactive' && priority !== 'batch') {
    throw invalidHeader('X-Skein-Priority', 'expected interactive or batch');
  }
  const deadline = headers.get('x-skein-deadline-ms');
  const deadlineMs = deadline === null ? undefined : Number(deadline);
  const isDeadline = deadlineMs === undefined || (/^\d{1,8}$/.test(deadline ?? '') && deadlineMs >= 1);
  if (!isDeadline || (deadlineMs ?? 0) > longestDeadlineMs) {
    throw invalidHeader('X-Skein-Deadline-Ms', `expected a whole number from 1 to ${longestDeadlineMs}`);
  }
  const events = headers.get('x-skein-queue-events');
  if (events !== null && events !== '0' && events !== '1')
    throw invalidHeader('X-Skein-Queue-Events', 'expected 0 or 1');
  return { priority: priority ?? undefined, deadlineMs, wantsQueueEvents: events === '1' };
}

function invalidHeader(name: string, reason: string): SkeinError {
  return new SkeinError('invalid-request', `the header ${name} is wrong: ${reason}`);
}

/** Names the request's place in the queue, and its expected wait where that is known, in the headers of its answer. */
export function showOutlook(context: Context, { position, expectedWaitMs }: Outlook): void {
  const outgoing = nodeResponse(context);
  outgoing?.setHeader('x-skein-queue-position', position);
  if (expectedWaitMs !== undefined) outgoing?.setHeader('x-skein-expected-wait-ms', Math.ceil(expectedWaitMs));
}

/** Pause between two looks at the queue, in milliseconds. */
const lookMs = 1000;

/**
 * Tells in comments of a stream how a request's wait goes: at once, after each second in which something has changed,
 * and when it is over. Says nothing of a request that does not wait.
 */
export function tellOutlook(sink: EventSink, permit: Permit, schedule: Schedule): Disposable {
  let told = '';
  let timer: Disposable | undefined;
  const look = (): void => {
    timer?.[Symbol.dispose]();
    const { position, expectedWaitMs } = permit.outlook;
    const outlook = { position, ...(expectedWaitMs !== undefined && { expectedWaitMs: Math.ceil(expectedWaitMs) }) };
    const comment = `skein-queue ${JSON.stringify(outlook)}`;
    if (comment !== told) sink.comment(comment);
    told = comment;
    timer = position === 0 ? undefined : schedule(lookMs, look);
  };
  if (permit.outlook.position > 0) {
    look();
    // A wait in vain is explained by the answer's error.
    permit.admitted.then(look, () => undefined);
  }
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
