import { check, labelsSchema, SkeinError, type Labels } from '@skein/protocol';

/** A client's words on where its request may go. */
export interface RoutingHeaders {
  /** Labels that every machine has to have which computes a part of the answer. Default: none. */
  readonly labels?: Labels | undefined;
  /** Name of the session that the request belongs to. Default: none. */
  readonly session?: string | undefined;
}

const maxSessionLength = 256;

/**
 * Reads the headers that say where a request may go.
 *
 * @throws SkeinError `invalid-request` for labels that no machine can have, and for a session's name that is too long
 */
export function parseRoutingHeaders(headers: Headers): RoutingHeaders {
  const [labels, session] = [headers.get('x-skein-labels'), headers.get('x-session-id')];
  if (session !== null && session.length > maxSessionLength) {
    throw invalidHeader('X-Session-Id', `expected at most ${maxSessionLength} characters`);
  }
  return {
    ...(labels !== null && { labels: parseLabels(labels) }),
    ...(session !== null && session !== '' && { session }),
  };
}

function parseLabels(text: string): Labels {
  const pairs = text.split(',').map((pair) => pair.trim().split('='));
  const names = pairs.map(([name]) => name);
  const isPaired = pairs.every((pair) => pair.length === 2) && new Set(names).size === names.length;
  const labels = check(labelsSchema, Object.fromEntries(pairs));
  if (isPaired && labels.ok) return labels.data;
  throw invalidHeader('X-Skein-Labels', 'expected labels like zone=eu,class=confidential, each name once');
}

function invalidHeader(name: string, reason: string): SkeinError {
  return new SkeinError('invalid-request', `the header ${name} is wrong: ${reason}`);
}
