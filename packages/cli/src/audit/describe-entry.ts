import { loggedEventSchema, type LoggedEvent, type ReadEntry } from '@skein/coordinator';
import { shortPeer } from '@skein/protocol';

import { formatLayers, printable } from '../output/format.ts';

type Of<Type extends LoggedEvent['type']> = Extract<LoggedEvent, { type: Type }>;

/** Formats an entry of the audit log for people, in one line: its time, its number and its event. */
export function describeEntry({ entry, file, line }: ReadEntry): string {
  if (entry === undefined) return `${file}, line ${line}: changed after it was written; see \`skein audit verify\``;
  const { seq, time, type } = entry;
  const event = loggedEventSchema.safeParse(entry).data;
  const what = event === undefined ? 'of a type that this version does not know' : describe(event);
  return printable([time, String(seq), type, what].filter((part) => part !== '').join('  '));
}

function describe(event: LoggedEvent): string {
  switch (event.type) {
    case 'request':
      return describeRequest(event);
    case 'deployment':
      return describeDeployment(event);
    case 'canary':
      return `${event.verdict}: ${event.model}, deployment ${event.deployment} on ${peers(event.peers)}`;
    case 'join':
      return `${member(event)} as ${event.role}${from(event.address)}`;
    case 'refusal':
      return `${member(event)}: ${event.reason}${from(event.address)}${event.count > 1 ? `, ${event.count} times` : ''}`;
    case 'revocation':
      return `${member(event)}: ${event.reason}`;
    case 'started':
      return `${peers([event.peer])}, API at ${event.url}/v1`;
    case 'recovered':
      return `after a crash; bytes of no whole entry: ${event.tornBytes}${event.kept === undefined ? '' : `, moved to ${event.kept}`}; whole entries not sealed yet: ${event.unsealed}`;
    case 'dropped':
      return `${event.count} events could not be recorded`;
    case 'opened':
    case 'checkpoint':
    case 'stopped':
      return '';
  }
}

function describeRequest(event: Of<'request'>): string {
  const { outcome, error, model, promptTokens, completionTokens, durationMs, client, address } = event;
  const tokens = completionTokens === undefined ? [] : [`${promptTokens ?? '?'} + ${completionTokens} tokens`];
  return [
    `${outcome}${error === undefined || outcome === 'cancelled' ? '' : ` (${error})`}: ${model ?? 'no model of this mesh'}`,
    ...tokens,
    `${(durationMs / 1000).toFixed(1)} s`,
    `asked by ${client === 'local' ? 'a program' : peers([client])}${from(address)}`,
    event.peers.length === 0 ? 'seen by no peer' : `seen by ${peers(event.peers)}`,
    ...(event.readAlong === undefined ? [] : [`read along by ${peers(event.readAlong)}`]),
  ].join(', ');
}

function describeDeployment({ action, error, model, stages }: Of<'deployment'>): string {
  const held = stages.map(({ peer, ...block }) => `${formatLayers(block)} on ${peers([peer])}`);
  return `${action}${error === undefined ? '' : ` (${error})`}: ${model}, ${held.join(', ')}`;
}

function member({ peer, name }: { readonly peer?: string | undefined; readonly name?: string | undefined }): string {
  if (peer === undefined) return name ?? 'somebody';
  return name === undefined ? peers([peer]) : `${name} (${peers([peer])})`;
}

function from(address: string | undefined): string {
  return address === undefined ? '' : ` from ${address}`;
}

function peers(ids: readonly string[]): string {
  return ids.map((id) => `…${shortPeer(id)}`).join(', ');
}
