import { generateKeyPairSync } from 'node:crypto';
import { mkdtempDisposable, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  AuditLog,
  loggedEventSchema,
  type AuditEvent,
  type AuditLogOptions,
  type LoggedEvent,
} from '../audit/index.ts';
import { peerIdOf, sha256 } from './fixtures.ts';

export const auditKey = generateKeyPairSync('ed25519').privateKey;

/** Makes an empty directory for a log, which is removed when it is disposed. */
export async function temporaryDirectory() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-audit-'));
}

/** Opens a log that the fixture's key signs. */
export async function openLog(directory: string, options: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  return await AuditLog.open({ directory, key: auditKey, ...options });
}

/** Writes events to a log, one after the other, and closes it. */
export async function writeLog(
  directory: string,
  events: readonly AuditEvent[],
  options: Partial<AuditLogOptions> = {},
): Promise<void> {
  await using log = await openLog(directory, options);
  for (const event of events) await log.append(event);
}

/** Makes an event whose address tells which one it is. */
export function refusalOf(number: number): AuditEvent {
  return { type: 'refusal', reason: 'not-a-member', address: `/ip4/192.0.2.${number}/tcp/7330` };
}

export const requestEvent: Extract<AuditEvent, { type: 'request' }> = {
  type: 'request',
  id: 'chatcmpl-1',
  client: 'local',
  address: '127.0.0.1',
  endpoint: '/v1/chat/completions',
  outcome: 'answered',
  model: 'tiny',
  sha256: sha256('tiny'),
  deployment: 'deployment-1',
  peers: [peerIdOf(1), peerIdOf(2)],
  choices: 1,
  promptSize: 20,
  promptTokens: 12,
  completionTokens: 34,
  finishReasons: ['stop'],
  durationMs: 1234,
};

/** Reads the contents of a log's files by name, in order. */
export async function readLog(directory: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.jsonl')).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))] as const)));
}

/** Reads the entries of a log, in order. */
export async function eventsOf(directory: string): Promise<LoggedEvent[]> {
  const files = [...(await readLog(directory)).values()];
  const lines = files.flatMap((content) => content.toString().split('\n').slice(0, -1));
  return lines.map((line) => loggedEventSchema.parse(JSON.parse(line)));
}
