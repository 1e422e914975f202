import {
  characters,
  choice,
  nothing,
  optional,
  repeat,
  sequence,
  text,
  type CharacterRange,
  type GrammarNode,
} from '../grammar/node.ts';

/** A grammar for strings of one format, without their quotes, and their bounds in characters. */
export interface FormatNode {
  readonly node: GrammarNode;
  readonly shortest: number;
  readonly longest: number;
}

const lower: CharacterRange = [0x61, 0x7a];
const upper: CharacterRange = [0x41, 0x5a];
const digits: CharacterRange = [0x30, 0x39];
const digit = characters(digits);
const hex = characters(digits, [0x41, 0x46], [0x61, 0x66]);
const letterOrDigit = characters(upper, lower, digits);
const base64 = characters(upper, lower, digits, [0x2b, 0x2b], [0x2f, 0x2f]);

/** Longest label of a host name, in characters, followed by most labels; the whole has to stay below 253 characters. */
const labelLength = 30;
const mostLabels = 4;
const longestUrlPath = 1000;
const longestText = 1000;

/** RFC 3986's characters of paths, without the percent sign, which needs two digits behind it. */
const pathCharacter = characters(
  upper,
  lower,
  digits,
  [0x21, 0x21],
  [0x24, 0x24],
  [0x26, 0x2e],
  [0x3a, 0x3b],
  [0x3d, 0x3d],
  [0x40, 0x40],
  [0x5f, 0x5f],
  [0x7e, 0x7e],
);

const twoDigits = (tens: string, from = '0', to = '9'): GrammarNode => sequence(text(tens), oneOf(from, to));

/**
 * Formats that are followed, each by a grammar that derives only valid strings, though not all of them. `room` is the
 * most characters of a string; formats of varying length stay below it.
 */
const formats: ReadonlyMap<string, (room: number) => FormatNode | undefined> = new Map([
  ['date', () => fixed(date(), 10)],
  ['time', () => ({ node: time(), shortest: 9, longest: 18 })],
  ['date-time', () => ({ node: sequence(date(), text('T'), time()), shortest: 20, longest: 29 })],
  ['uuid', () => fixed(uuid(), 36)],
  ['ipv4', () => ({ node: separated(octet(), '.', 4), shortest: 7, longest: 15 })],
  ['ipv6', () => ({ node: separated(repeat(hex, 1, 4), ':', 8), shortest: 15, longest: 39 })],
  ['duration', () => ({ node: duration(), shortest: 3, longest: 32 })],
  ['hostname', hostname],
  ['email', email],
  ['uri', uri],
  ['url', url],
  ['uri-reference', uri],
  ['iri', uri],
  ['iri-reference', uri],
  ['byte', (room) => binary(room)],
  ['json-pointer', pointer],
]);

/**
 * Returns a format's grammar for strings of at most `room` characters; undefined for an unknown format or too little
 * room.
 */
export function formatNode(format: string, room: number): FormatNode | undefined {
  return formats.get(format)?.(room);
}

/** Tells whether a format is one that {@link formatNode} follows. */
export function isKnownFormat(format: string): boolean {
  return formats.has(format);
}

function fixed(node: GrammarNode, length: number): FormatNode {
  return { node, shortest: length, longest: length };
}

function oneOf(from: string, to: string): GrammarNode {
  return characters([from.charCodeAt(0), to.charCodeAt(0)]);
}

/** Makes a node for dates, except for the 29th of February, which depends on the year. */
function date(): GrammarNode {
  const day = choice(twoDigits('0', '1'), sequence(oneOf('1', '1'), digit), twoDigits('2', '0', '8'));
  const any = choice(twoDigits('0', '1'), twoDigits('1', '0', '2'));
  const longer = choice(sequence(text('0'), characters([0x31, 0x31], [0x33, 0x39])), twoDigits('1', '0', '2'));
  const longest = choice(text('01'), text('03'), text('05'), text('07'), text('08'), text('10'), text('12'));
  const monthAndDay = choice(
    sequence(any, text('-'), day),
    sequence(longer, text('-'), choice(text('29'), text('30'))),
    sequence(longest, text('-31')),
  );
  return sequence(repeat(digit, 4, 4), text('-'), monthAndDay);
}

function time(): GrammarNode {
  const hour = choice(sequence(oneOf('0', '1'), digit), twoDigits('2', '0', '3'));
  const sixty = sequence(oneOf('0', '5'), digit);
  const fraction = sequence(text('.'), repeat(digit, 1, 3));
  const zone = choice(text('Z'), sequence(characters([0x2b, 0x2b], [0x2d, 0x2d]), hour, text(':'), sixty));
  return sequence(hour, text(':'), sixty, text(':'), sixty, optional(fraction), zone);
}

function uuid(): GrammarNode {
  const [four, eight, twelve] = [repeat(hex, 4, 4), repeat(hex, 8, 8), repeat(hex, 12, 12)];
  const dash = text('-');
  return sequence(eight, dash, four, dash, four, dash, four, dash, twelve);
}

function octet(): GrammarNode {
  return choice(
    digit,
    sequence(oneOf('1', '9'), digit),
    sequence(text('1'), digit, digit),
    sequence(text('2'), oneOf('0', '4'), digit),
    sequence(text('25'), oneOf('0', '5')),
  );
}

function separated(part: GrammarNode, separator: string, count: number): GrammarNode {
  return sequence(part, repeat(sequence(text(separator), part), count - 1, count - 1));
}

/** Makes a node for RFC 3339's durations: weeks alone, or units from years to seconds with none left out between two. */
function duration(): GrammarNode {
  const amount = (unit: string): GrammarNode => sequence(repeat(digit, 1, 4), text(unit));
  const seconds = amount('S');
  const minutes = sequence(amount('M'), optional(seconds));
  const clock = sequence(text('T'), choice(sequence(amount('H'), optional(minutes)), minutes, seconds));
  const days = amount('D');
  const months = sequence(amount('M'), optional(days));
  const dates = choice(days, months, sequence(amount('Y'), optional(months)));
  return sequence(text('P'), choice(amount('W'), clock, sequence(dates, optional(clock))));
}

/** Makes a node for a label of 1 to `length` characters, which begins and ends with a letter or a digit. */
function label(length: number): GrammarNode {
  const inner = characters(upper, lower, digits, [0x2d, 0x2d]);
  if (length === 1) return letterOrDigit;
  return sequence(letterOrDigit, optional(sequence(repeat(inner, 0, length - 2), letterOrDigit)));
}

function hostname(room: number): FormatNode | undefined {
  const length = Math.min(labelLength, Math.floor((room + 1) / mostLabels) - 1);
  if (length < 1) return room < 1 ? undefined : { node: label(room), shortest: 1, longest: room };
  const node = sequence(label(length), repeat(sequence(text('.'), label(length)), 0, mostLabels - 1));
  return { node, shortest: 1, longest: mostLabels * (length + 1) - 1 };
}

function email(room: number): FormatNode | undefined {
  const local = Math.min(64, Math.floor((room - 1) / 2));
  const length = Math.min(labelLength, Math.floor((room - local - 1 + 1) / 3) - 1);
  if (local < 1 || length < 1) return undefined;
  const inner = characters(upper, lower, digits, [0x2d, 0x2d], [0x5f, 0x5f], [0x2b, 0x2b]);
  const dotted = sequence(optional(text('.')), inner);
  const name = sequence(letterOrDigit, repeat(dotted, 0, Math.floor((local - 1) / 2)));
  const domain = sequence(label(length), repeat(sequence(text('.'), label(length)), 1, 2));
  return { node: sequence(name, text('@'), domain), shortest: 5, longest: local + 1 + 3 * (length + 1) - 1 };
}

/**
 * Makes a node for URLs as validators take them: http or https, and a host of letters and digits whose last label is a
 * word.
 */
function url(room: number): FormatNode | undefined {
  const letter = characters(lower);
  const name = sequence(letter, repeat(characters(lower, digits), 0, 19), text('.'));
  const host = sequence(repeat(name, 1, 3), repeat(letter, 2, 6));
  const longest = 'https://'.length + 3 * 21 + 6;
  if (room < longest) return undefined;
  const rest = Math.min(longestUrlPath, room - longest - 1);
  const path = optional(sequence(text('/'), repeat(choice(pathCharacter, text('/')), 0, Math.max(0, rest))));
  const scheme = choice(text('https://'), text('http://'));
  return {
    node: sequence(scheme, host, rest < 1 ? nothing : path),
    shortest: 11,
    longest: longest + 1 + Math.max(0, rest),
  };
}

/** Makes a node for `scheme://host[:port][/path][?query][#fragment]`, without user information. */
function uri(room: number): FormatNode | undefined {
  const scheme = choice(text('https'), text('http'), sequence(characters(lower), repeat(characters(lower), 1, 6)));
  const host = hostname(Math.min(120, Math.floor((room - 'scheme7://:65535'.length) / 2)));
  if (host === undefined) return undefined;
  const portRoom = ':65535'.length;
  const rest = Math.min(longestUrlPath, room - ('scheme7://'.length + host.longest + portRoom));
  const port = optional(sequence(text(':'), oneOf('1', '9'), repeat(digit, 0, 3)));
  const third = Math.max(0, Math.floor(rest / 3) - 1);
  const path = sequence(text('/'), repeat(choice(pathCharacter, text('/')), 0, third));
  const query = sequence(text('?'), repeat(choice(pathCharacter, text('/')), 0, third));
  const fragment = sequence(text('#'), repeat(choice(pathCharacter, text('/')), 0, third));
  const tail = rest < 3 ? nothing : sequence(optional(path), optional(query), optional(fragment));
  return { node: sequence(scheme, text('://'), host.node, port, tail), shortest: 6, longest: room };
}

/** Makes a node for Base64 with its padding. */
function binary(room: number): FormatNode | undefined {
  const blocks = Math.floor(Math.min(room, longestText) / 4) - 1;
  if (blocks < 0) return undefined;
  const whole = repeat(base64, 4, 4);
  const padded = choice(whole, sequence(repeat(base64, 3, 3), text('=')), sequence(repeat(base64, 2, 2), text('==')));
  return { node: sequence(repeat(whole, 0, blocks), padded), shortest: 4, longest: 4 * (blocks + 1) };
}

function pointer(room: number): FormatNode {
  const length = Math.min(room, longestText);
  const plain = characters([0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7d], [0x80, 0xd7ff], [0xe000, 0x10_ffff]);
  const units = repeat(choice(plain, text('~0'), text('~1')), 0, Math.max(0, Math.floor(length / 2) - 1));
  return length < 2
    ? { node: nothing, shortest: 0, longest: 0 }
    : { node: optional(sequence(text('/'), units)), shortest: 0, longest: length };
}
