import { fromText, isSkeinError } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { ChatTemplate } from './chat-template.ts';
import { filters } from './filters.ts';
import { textMethods } from './methods.ts';
import type { Text } from './text.ts';

/** A question in letters that no template here has, so that each of them comes from it, whatever became of it. */
const question = 'Ωρα, καλή';
const greek = /\p{Script=Greek}/gu;

function render(source: string, content = question): Text {
  return new ChatTemplate(source, { bos: '', eos: '' }).render([fromText({ role: 'user', content, name: 'Ζωή' })], now);
}

/** Shows what messages say in guillemets. */
function shown(text: Text): string {
  let marked = '';
  for (let index = 0; index < text.length; index += 1) {
    const [before, here] = [index > 0 && text.isSaid(index - 1, index), text.isSaid(index, index + 1)];
    marked += (before === here ? '' : here ? '«' : '»') + text.value.charAt(index);
  }
  return text.isSaid(text.length - 1) ? `${marked}»` : marked;
}

const now = new Date(0);

describe('what the template wrote and what a message says', () => {
  it.each([
    ['<u>{{ c }}</u>', ' hi ', '<u>« hi »</u>'],
    ["{{ '<' ~ c + '>' }}", 'hi', '<«hi»>'],
    ['<{{ c | trim }}>', ' hi ', '<«hi»>'],
    ["{{ ('<' ~ c ~ '>').strip('<') }}", 'hi', '«hi»>'],
    ['{{ c[1:] }}{{ c[0] }}.{{ c[-1] }}{{ c[::-1] }}', 'hi', '«ih».«iih»'],
    ["{{ ('<' ~ c ~ '>')[1:3] }}{{ ('👍' ~ c ~ '👎')[1:] }}", 'hi', '«hihi»👎'],
    ["{{ c.replace('-', '<>') }}", 'h-i', '«h»<>«i»'],
    ["{{ 'a-b' | replace('-', c) }}", 'hi', 'a«hi»b'],
    ["{{ '<c>c'.replace('c', c, 1) }}", 'hi', '<«hi»>c'],
    ["{{ 'ab'.replace('', c) }}", 'hi', '«hi»a«hi»b«hi»'],
    ["{% for part in c.split('|') %}<{{ part }}>{% endfor %}", 'h|i', '<«h»><«i»>'],
    ["{{ c.split(none, 1)[1] }}{{ c.rsplit('|', 1)[0] }}.", 'o  h|i k', '«h|i ko  h».'],
    ['{% for line in c.splitlines() %}<{{ line }}>{% endfor %}', 'h\r\ni\n', '<«h»><«i»>'],
    ['{{ c | indent(2, true) }}', 'h\ni', '  «h\n»  «i»'],
    ["{{ [c, 'and', c] | join(', ') }}{{ ' '.join([c, c]) }}", 'hi', '«hi», and, «hihi» «hi»'],
    ["{{ '{}<{x}>{{}}'.format(c, x=c) }}", 'hi', '«hi»<«hi»>{}'],
    ["{{ '<' * 2 ~ c * 2 }}", 'hi', '<<«hihi»'],
    ["{{ c | upper }}{{ c.title() }}{{ '<a>' | upper }}", 'hi', '«HIHi»<A>'],
    ["{{ [c, 'a'] }}{{ {'k': c} | tojson(indent=2) }}", 'hi', '[«\'hi\'», \'a\']{\n  "k": «"hi"»\n}'],
    [
      "{% set n = namespace(t='<') %}{% for x in c %}{% set n.t = n.t ~ x ~ '>' %}{% endfor %}{{ n.t }}",
      'hi',
      '<«h»>«i»>',
    ],
    ['{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(c) | trim }}', 'hi', '<«hi»>'],
    ['{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}.{{ c }}{% endcall %}', 'hi', '<.«hi»>'],
    ['{% set b %}<{{ c }}>{% endset %}{% filter trim %} {{ b }} {% endfilter %}', 'hi', '<«hi»>'],
    ["{% for k, v in {c: '<'}.items() %}{{ k }}{{ v }}{% endfor %}", 'hi', '«hi»<'],
    ['{% macro m() %}{{ kwargs.keys() | first }}{% endmacro %}{{ m(**{c: 1}) }}!', 'hi', '«hi»!'],
    ["{{ missing | default(c) }}{{ '' | default(c, true) }}<", 'hi', '«hihi»<'],
    [
      "{{ {c: 'found'}['hi'] }}{{ 'h' in c }}{{ c == 'hi' }}{{ 'x' if c == 'hi' }}{{ c | length }}",
      'hi',
      'foundTrueTruex2',
    ],
    ["{{ c | reverse }}{{ c | list | last }}{{ [c, 'b'] | sort | first }}{{ [c, '<'] | min }}", 'hi', '«ihi»b<'],
    ['{{ strftime_now(c) }}', 'hi', '«hi»'],
  ])('%s', (source, content, expected) => {
    const text = render(`{% set c = messages[0].content %}${source}{{ c }}`, content);
    expect(shown(text.slice(0, text.length - content.length))).toBe(expected);
  });

  const values = [
    '2',
    '[2, c]',
    "[{'x': c}]",
    'c',
    "('<' ~ c ~ '>')",
    "'{}x'",
    '[c, [c]]',
    '{c: c}',
    "('x' ~ c).split('x')",
  ];
  const calls = ['', '()', '(c)', "('x')", "('x', c)", '(c, c)', '(2)', '(none, 1)', "('upper')", "(attribute='x')"];
  it.each([
    ...Array.from(filters.keys(), (name) => ({ form: `| ${name}` })),
    ...Array.from(textMethods.keys(), (name) => ({ form: `.${name}` })),
  ])('are told apart whatever $form makes of them', ({ form }) => {
    let rendered = 0;
    for (const expression of values.flatMap((value) => calls.map((call) => `${value} ${form}${call}`))) {
      const text = attempt(() => render(`{% set c = messages[0].content %}{{ ${expression} }}{{ c }}`));
      if (text === undefined) continue;
      rendered += 1;
      for (const { index } of text.value.matchAll(greek)) {
        expect(text.isSaid(index, index + 1), `character ${index} of ${text.value} by ${expression}`).toBe(true);
      }
    }
    expect(rendered).toBeGreaterThan(0);
  });
});

/** Filters and methods don't take just anything. */
function attempt(make: () => Text): Text | undefined {
  try {
    return make();
  } catch (error) {
    if (isSkeinError(error)) return undefined;
    throw error;
  }
}
