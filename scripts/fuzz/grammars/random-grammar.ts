import type { Drawing } from './drawing.ts';

const characters = [
  ...'abcxyz019 .,:;(){}[]<>|*+?"\'\\#-_^=!\n\t'.split(''),
  'é',
  'ß',
  '漢',
  '字',
  '😀',
  '\u0301',
  '\u200d',
  '\ufeff',
];
const hostile = ['\0', '\ud800', '\udfff', '\u{10ffff}', '\uffff', '\r', '\x7f'];
const operators = ['*', '+', '?', '{2}', '{0}', '{0,3}', '{1,}', '{3,5}', '{ 1 , 2 }'];
/** Pieces that a mutation puts where they do not belong. */
const splinters = [
  ...String.raw`" [ ] [^ ( ) | ::= { } * + ? . \ # <[1]> !<a> root`.split(' '),
  ...String.raw`{999999999} {0,65535} {,3} {5,2} \x \u00 \UFFFFFFFF \ud800`.split(' '),
  '\n',
  '\r\n',
  'root ::= ',
  '\0',
  '\ud800',
];

/** Makers of grammars, each of one kind that is hard to read, to bound or to follow. */
const kinds: Readonly<Record<string, (draw: Drawing) => string>> = {
  plain: (draw) => {
    const names = ['root', ...draw.list(draw.integer(0, 5), (index) => `r${index}`)];
    return names
      .map((name) => `${name} ::= ${expression(draw, names, draw.integer(1, 4))}`)
      .join(draw.one(['\n', '\n\n# x\n', '\r\n']));
  },
  doubling: (draw) => {
    const count = draw.size(500);
    const rule = draw.one<(before: string) => string>([
      (before) => `${before} ${before} | ${before}`,
      (before) => `${before} | ${before}`,
      (before) => `${before}? ${before}`,
      (before) => `${before} ${before} ${before} | ""`,
      (before) => `${before} ${before} | "b"`,
    ]);
    return rules(draw, `x${count}`, [
      `x0 ::= ${text(draw)}`,
      ...draw.list(count, (index) => `x${index + 1} ::= ${rule(`x${index}`)}`),
    ]);
  },
  'optional in loops': (draw) => {
    const names = ['a', 'b', 'c'];
    const part = (): string => `${draw.one([text(draw), ...names.slice(1)])}${draw.one(['?', '*', '{0,9}', ''])}`;
    return rules(draw, `(${names.join('|')})${draw.one(['*', '+', '{1,200}', '{0,50}'])}`, [
      `a ::= ${draw.list(draw.integer(1, 6), part).join(' ')}`,
      `b ::= ${text(draw)}? "a"*`,
      `c ::= b? b? | (${text(draw)}* b*)*`,
    ]);
  },
  nested: (draw) => {
    const depth = draw.size(20_000);
    const [open, close] = draw.one([
      ['(', ')'],
      ['("a" ', ')?'],
      ['("a" | ', ')*'],
      ['(', '"b"){0,2}'],
    ] as const);
    return `root ::= ${draw.one(['', '[^"] ', '"\\"" ', '# "\n'])}${open.repeat(depth)}"x"${close.repeat(draw.happens(0.9) ? depth : draw.size(20_000))}`;
  },
  repeated: (draw) => {
    const counts = draw.list(draw.integer(1, 5), () => {
      const least = draw.size(70_000) - 1;
      return draw.one([`{${least}}`, `{${least},}`, `{0,${least}}`, `{${least},${least + draw.size(3000)}}`]);
    });
    const body = draw.one(['"a"', '""', '[a-zé漢]', '.', 'x', '("a" | "b"?)', '("a"?)']);
    return rules(
      draw,
      counts.reduce((inner, count) => `(${inner})${count}`, body),
      ['x ::= [^"\\n] | "\\\\" .'],
    );
  },
  'many alternatives': (draw) => {
    const count = draw.size(8000);
    const length = draw.integer(0, 5);
    const words = draw.list(count, (index) => quoted(`${'w'.repeat(length)}${index.toString(draw.one([2, 36]))}`));
    return `root ::= (${words.join(' | ')})${draw.one(['', '*', '+', '{1,20}'])}`;
  },
  classes: (draw) => {
    const ranges = draw.list(draw.size(12_000), () => {
      const from = draw.integer(0, 0x10_ffff);
      return `${escaped(from)}${draw.happens(0.5) ? `-${escaped(Math.min(0x10_ffff, from + draw.size(3000)))}` : ''}`;
    });
    return `root ::= [${draw.one(['', '^'])}${ranges.join('')}]${draw.one(['', '*', '{1,40}'])}`;
  },
  recursive: (draw) => {
    const count = draw.integer(1, 40);
    const name = (): string => `r${draw.integer(0, count - 1)}`;
    const part = (): string => draw.one([name, name, () => text(draw), () => `${name()}?`, () => '""'])();
    return rules(
      draw,
      'r0',
      draw.list(count, (index) => {
        const options = draw.list(draw.integer(1, 4), () => draw.list(draw.integer(0, 4), part).join(' '));
        return `r${index} ::= ${options.join(' | ')}`;
      }),
    );
  },
  'open rules': (draw) => {
    const count = draw.size(1500);
    return rules(draw, 'r0', [
      ...draw.list(count, (index) => `r${index} ::= r${index + 1} r${index + 1} | ${text(draw)}`),
      `r${count} ::= "a" root | "c" root | ${text(draw)}`,
    ]);
  },
  chains: (draw) => {
    const count = draw.size(5000);
    const link = draw.one<(next: string) => string>([
      (next) => next,
      (next) => `${next}?`,
      (next) => `"a"? ${next}`,
      (next) => `${next} | "b"`,
    ]);
    return rules(draw, 'r0', [
      ...draw.list(count, (index) => `r${index} ::= ${link(`r${index + 1}`)}`),
      `r${count} ::= "x"`,
    ]);
  },
  long: (draw) => `root ::= ${quoted(draw.list(draw.size(100_000), () => draw.one(characters)).join(''))}`,
};

export const grammarKinds = Object.keys(kinds);

/** Makes a grammar of one of {@link grammarKinds}, or with `isMutated` a text that was one before some changes. */
export function drawGrammar(draw: Drawing, kind: string, { isMutated }: { readonly isMutated: boolean }): string {
  const make = kinds[kind];
  if (make === undefined) throw new RangeError(`no kind of grammars ${kind}; there are ${grammarKinds.join(', ')}`);
  const grammar = make(draw);
  return isMutated ? mutate(draw, grammar) : grammar;
}

/** Changes a text in a few places. */
export function mutate(draw: Drawing, original: string): string {
  let changed = original;
  for (let times = draw.integer(1, 4); times > 0; times -= 1) {
    const start = draw.integer(0, changed.length);
    const end = Math.min(changed.length, start + draw.size(20) - 1);
    const [before, part, after] = [changed.slice(0, start), changed.slice(start, end), changed.slice(end)];
    changed = draw.one([
      () => before + after,
      () => before + draw.one(splinters) + part + after,
      () => before + draw.one(splinters) + after,
      () => before + part.repeat(draw.size(200)) + after,
      () => before + part + before.slice(0, 2000) + after,
    ])();
  }
  // Neither empty nor too long, which the schema of a request refuses.
  return changed.slice(0, 250_000) || '#';
}

function rules(draw: Drawing, root: string, others: readonly string[]): string {
  const all = [`root ::= ${root}`, ...others];
  return (draw.happens(0.3) ? all.toReversed() : all).join('\n');
}

function expression(draw: Drawing, names: readonly string[], depth: number): string {
  const sequence = (): string =>
    draw
      .list(draw.integer(1, 3), () => `${part(draw, names, depth)}${draw.happens(0.4) ? draw.one(operators) : ''}`)
      .join(draw.one([' ', ' ', '  ', '\t']));
  return draw.list(draw.one([1, 1, 2, 3]), sequence).join(draw.one([' | ', '|', ' |\n  ']));
}

function part(draw: Drawing, names: readonly string[], depth: number): string {
  const simple = [() => text(draw), () => characterClass(draw), () => '.', () => draw.one(names), () => '""'];
  const group = (): string =>
    `(${draw.one(['', ' ', '\n'])}${expression(draw, names, depth - 1)}${draw.one(['', '\n  '])})`;
  return draw.one(depth > 0 ? [...simple, group, group] : simple)();
}

function text(draw: Drawing): string {
  return quoted(draw.list(draw.integer(1, 4), () => draw.one(draw.happens(0.02) ? hostile : characters)).join(''));
}

function characterClass(draw: Drawing): string {
  const items = draw.list(draw.integer(1, 4), () =>
    draw.one([
      'a-z',
      '0-9',
      'é',
      '一-龥',
      '\\]',
      '\\\\',
      '"',
      '\\x00-\\x1f',
      '\\n',
      '^',
      '-',
      '\\U0001F600-\\U0001F64F',
    ]),
  );
  return `[${draw.one(['', '^'])}${items.join('')}]`;
}

function quoted(content: string): string {
  return `"${content.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

function escaped(codePoint: number): string {
  return `\\U${codePoint.toString(16).padStart(8, '0')}`;
}
