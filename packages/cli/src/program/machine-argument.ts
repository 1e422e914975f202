import { check, labelsSchema, type AddedMachine, type Labels } from '@skein/protocol';
import { InvalidArgumentError } from 'commander';

/** Parts of a machine that is not there, as `--add` takes them. */
export const machineSyntax =
  'name=attic,memory=32G,gpu=RTX 4090:24G,link=1G/0.5ms, and cpu=<name>, cores=<count> and label=<key=value>; gpu and label more than once for several';

/** Parts that may be given several times. */
const severalTimes = new Set(['gpu', 'label']);
const lan = { roundTripMs: 0.6, bytesPerSecond: 110e6 };
/** Links by kind. */
const links = new Map([
  ['lan', lan],
  ['wifi', { roundTripMs: 5, bytesPerSecond: 25e6 }],
]);
const units = new Map([
  ['K', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
]);
const gibibyte = 1024 ** 3;

/**
 * Parses a machine that is not there, as `name=attic,memory=32G,gpu=RTX 4090:24G,link=1G/0.5ms`.
 *
 * @throws InvalidArgumentError commander's, which says what is expected
 */
export function addedMachine(text: string): AddedMachine {
  const parts = text.split(',').map((part) => {
    const [, key, value] = /^\s*(\w+)=(.+)$/.exec(part) ?? [];
    if (key === undefined || value === undefined) throw expected(`"${part.slice(0, 50)}" has no value`);
    return { key, value: value.trim() };
  });
  const unknown = parts.find(({ key }) => !['name', 'memory', 'gpu', 'link', 'cpu', 'cores', 'label'].includes(key));
  if (unknown !== undefined) throw expected(`there is no ${unknown.key}`);
  const twice = parts.find(
    ({ key }, index) => !severalTimes.has(key) && parts.findIndex((one) => one.key === key) !== index,
  );
  if (twice !== undefined) throw expected(`${twice.key} is given twice`);
  const values = new Map(parts.map(({ key, value }) => [key, value]));
  const [name, memory, cpu, cores, link] = ['name', 'memory', 'cpu', 'cores', 'link'].map((key) => values.get(key));
  if (name === undefined || memory === undefined) throw expected('name and memory have to be given');
  const gpus = parts.filter(({ key }) => key === 'gpu').map(({ value }) => gpuOf(value));
  const labels = parts.filter(({ key }) => key === 'label').map(({ value }) => value);
  return {
    name,
    memoryBytes: gibibytes(memory),
    ...(cpu !== undefined && { cpu }),
    ...(cores !== undefined && { cores: coresOf(cores) }),
    ...(gpus.length > 0 && { gpus }),
    ...(link !== undefined && { link: linkOf(link) }),
    ...(labels.length > 0 && { labels: labelsOf(labels) }),
  };
}

function labelsOf(texts: readonly string[]): Labels {
  const pairs = texts.map((text) => {
    const [, key, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
    if (key === undefined || value === undefined) throw wrongLabel();
    return [key, value] as const;
  });
  const names = pairs.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw expected(`the label ${twice} is given twice`);
  const labels = check(labelsSchema, Object.fromEntries(pairs));
  if (!labels.ok) throw wrongLabel();
  return labels.data;
}

function wrongLabel(): InvalidArgumentError {
  return expected(
    'a label is a short name in lower case and a value, as in label=zone=eu; a machine has 16 labels at most',
  );
}

function gpuOf(text: string): NonNullable<AddedMachine['gpus']>[number] {
  const [, name, memory] = /^(.+):([^:]+)$/.exec(text) ?? [];
  if (name === undefined || memory === undefined) throw expected('a GPU needs its memory, as in gpu=RTX 4090:24G');
  return { name: name.trim(), memoryBytes: gibibytes(memory) };
}

function gibibytes(text: string): number {
  const [, number] = /^(\d+(?:\.\d+)?)\s*G(?:i?B)?$/i.exec(text.trim()) ?? [];
  const bytes = Math.round(Number(number) * gibibyte);
  if (number === undefined || bytes < 1) throw expected(`"${text.slice(0, 20)}" is no amount of memory like 32G`);
  return bytes;
}

function coresOf(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw expected('cores is a whole number up to 999');
}

/** Parses `lan`, `wifi`, or bits a second with a round trip: `1G/0.5ms`, `100M`. */
function linkOf(text: string): NonNullable<AddedMachine['link']> {
  const known = links.get(text.toLowerCase());
  if (known !== undefined) return known;
  const [, rate, unit = '', roundTrip] =
    /^(\d+(?:\.\d+)?)([KMGT])(?:bit\/?s?)?(?:\/(\d+(?:\.\d+)?)ms)?$/i.exec(text) ?? [];
  const factor = units.get(unit.toUpperCase());
  const bitsPerSecond = Number(rate) * (factor ?? Number.NaN);
  if (Number.isNaN(bitsPerSecond) || bitsPerSecond === 0)
    throw expected('a link is lan, wifi, or bits a second and a round trip like 1G/0.5ms');
  return {
    roundTripMs: roundTrip === undefined ? lan.roundTripMs : Number(roundTrip),
    bytesPerSecond: bitsPerSecond / 8,
  };
}

function expected(problem: string): InvalidArgumentError {
  return new InvalidArgumentError(`It must be a machine like ${machineSyntax}: ${problem}.`);
}
