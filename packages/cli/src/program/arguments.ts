import { isIP } from 'node:net';

import { isAnnounceable, isLoopbackHost, ownAddresses } from '@skein/mesh';
import { check, labelsSchema, maxGpus } from '@skein/protocol';
import { InvalidArgumentError } from 'commander';

import { printable } from '../output/format.ts';

/** Longest name that a card and a certificate can hold, in characters. */
const maxNameLength = 256;

/**
 * Makes a parser of whole numbers within bounds, both included. The parsers of this file throw commander's
 * `InvalidArgumentError`, which says what is expected.
 */
export function wholeNumber(minimum: number, maximum = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= minimum && value <= maximum) return value;
    const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };
}

/** Parses whole numbers of at least 1, with commas between them. */
export function wholeNumbers(text: string): readonly number[] {
  return text.split(',').map(wholeNumber(1));
}

/** Parses numbers of GPUs, which start from 0, with commas between them. */
export function gpuNumbers(text: string): readonly number[] {
  const numbers = text.split(',').map(wholeNumber(0, maxGpus - 1));
  if (new Set(numbers).size === numbers.length) return numbers;
  throw new InvalidArgumentError('It must name each GPU once, like 0,2.');
}

/** Parses ratios, with commas between them, at least one of them above 0. */
export function ratios(text: string): readonly number[] {
  const shares = text.split(',').map(decimalNumber(0, 1_000_000));
  if (shares.length <= maxGpus && shares.some((share) => share > 0)) return shares;
  throw new InvalidArgumentError(`It must be 1 to ${maxGpus} numbers with one above 0, like 3,1.`);
}

/** Makes a parser of decimal numbers within bounds, both included. */
export function decimalNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`It must be a number from ${minimum} to ${maximum}.`);
  };
}

/** Parses a JSON object. */
export function jsonObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below, without the text.
  }
  throw new InvalidArgumentError('It must be a JSON object, like {"type":"object"}.');
}

/** Parses a time in ISO 8601 into milliseconds since 1970. A date alone is its midnight in UTC. */
export function timeMs(text: string): number {
  const value = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(value)) return value;
  throw new InvalidArgumentError('It must be a time like 2026-11-26 or 2026-11-26T14:30:00Z.');
}

/** Parses a host that only this machine reaches. */
export function loopbackHost(text: string): string {
  if (isLoopbackHost(text)) return text;
  throw new InvalidArgumentError('It must be of this machine, like 127.0.0.1: the API has no keys yet.');
}

/** Parses a machine's name: it fits a certificate and a card, and has nothing that a terminal would obey. */
export function givenName(text: string): string {
  if (text.trim() !== '' && text.length <= maxNameLength && printable(text) === text) return text;
  throw new InvalidArgumentError(`It must be a name of 1 to ${maxNameLength} characters, in one line.`);
}

/** Collects an option that may be given several times. */
export function repeated(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, text];
}

/**
 * Collects multiaddrs. Their protocols are checked when they are used to dial or listen; this catches text that is no
 * multiaddr at all.
 */
export function repeatedMultiaddr(text: string, previous: readonly string[] = []): readonly string[] {
  const [, kind, host = ''] = text.split('/');
  const isPlausible =
    kind?.startsWith('dns') === true || (kind === 'ip4' && isIP(host) === 4) || (kind === 'ip6' && isIP(host) === 6);
  if (isPlausible && /\/tcp\/\d+/.test(text)) return [...previous, text];
  throw new InvalidArgumentError('It must be a multiaddr like /ip4/192.168.1.20/tcp/7330.');
}

/** Collects multiaddrs that others are told to dial, and the word for those of this machine's interfaces. */
export function repeatedAnnouncement(text: string, previous: readonly string[] = []): readonly string[] {
  if (text === ownAddresses || isAnnounceable(text)) return [...previous, text];
  throw new InvalidArgumentError(
    `It must name an IP address and a port of this machine, like /ip4/192.168.1.20/tcp/7330, or be ${ownAddresses}.`,
  );
}

/** Parses a duration like `90s`, `30m`, `12h` or `2d` into milliseconds. At least a second. */
export function duration(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit];
  if (unitMs !== undefined && Number(count) > 0) return Number(count) * unitMs;
  throw new InvalidArgumentError('It must be a time of at least 1s, like 90s, 30m, 12h or 2d.');
}

/** Collects labels, given as `key=value`. */
export function label(text: string, previous: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, key = '', value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  const labels = check(labelsSchema, { ...previous, [key]: value });
  if (labels.ok) return labels.data;
  throw new InvalidArgumentError(
    'It must be like room=attic: a short name in lower case, and at most 64 characters. A machine has 16 labels at most.',
  );
}
