import { fromText, isSkeinError, type SkeinError, type TextMessage } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { ChatTemplate, type ChatTemplateOptions } from './chat-template.ts';

const hello: readonly TextMessage[] = [{ role: 'user', content: 'Hello' }];
const conversation: readonly TextMessage[] = [
  { role: 'system', content: 'Be kind.' },
  { role: 'user', content: 'Hello' },
  { role: 'assistant', content: 'Hi.' },
  { role: 'user', content: 'And "2+2"?' },
];
/** Texts that every rendering here has to hold. */
const question = '{{ messages[-1].content }}';

function render(
  source: string,
  messages: readonly TextMessage[] = hello,
  { now = new Date(), ...options }: Partial<ChatTemplateOptions> & { readonly now?: Date } = {},
): string {
  return new ChatTemplate(source, { bos: '<s>', eos: '</s>', ...options }).render(messages.map(fromText), now).value;
}

/** Returns the value of an expression, as text. */
function evaluate(expression: string, messages: readonly TextMessage[] = hello): string {
  const text = render(`{{ ${expression} }}${question}`, messages);
  return text.slice(0, -(messages.at(-1)?.content.length ?? 0));
}

function failure(action: () => unknown): SkeinError {
  try {
    action();
  } catch (error) {
    if (isSkeinError(error)) return error;
    throw error;
  }
  throw new Error('no failure');
}

describe('a conversation', () => {
  const chat =
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>{{ message.content }}{{ eos_token }}{% endfor %}" +
    '{% if add_generation_prompt %}<assistant>{% endif %}';

  it('becomes the text that the assistant continues', () => {
    expect(render(chat, conversation)).toBe(
      '<s><system>Be kind.</s><user>Hello</s><assistant>Hi.</s><user>And "2+2"?</s><assistant>',
    );
  });

  it('has the roles that templates know', () => {
    expect(render(chat, [{ role: 'developer', content: 'Be kind.' }, ...hello])).toContain('<system>Be kind.');
  });

  it('is told the date in English', () => {
    const now = new Date(2026, 1, 3, 16, 5);
    expect(render(`{{ strftime_now('%d %B %Y, %A, %-d/%-m, %I:%M %p') }}${question}`, hello, { now })).toBe(
      '03 February 2026, Tuesday, 3/2, 04:05 PMHello',
    );
  });
});

describe('what Python takes for empty', () => {
  // Templates were written against Python's Jinja; each of these stands in one that refused every conversation.
  it.each([
    ['loops over what is not defined', `[{% for tool in tools %}{{ tool }}{% else %}none{% endfor %}]`, '[none]'],
    ['measures what is not defined', '{{ tools | length }}{{ tools | list }}', '0[]'],
    ['passes what is not defined to filters', "{{ tools | join(',') }}{{ tools | trim }}{{ tools | upper }}", ''],
    ['joins what is not defined to text', "{{ 'a' ~ tools ~ 'b' }}", 'ab'],
    ['has numbers as keys', "{% set names = {0: 'zero', 1: 'one'} %}{{ names[1] }}{{ names.get(0) }}", 'onezero'],
    ['selects from nothing', "{{ tools | selectattr('type', 'equalto', 'x') | list }}", '[]'],
    ['selects lazily from none', "{% set found = none | selectattr('type') %}{{ found | list | length }}", '0'],
    ['formats texts', "{{ '<{}:{}>'.format('a', 1) }}{{ '{0}{0}{n}'.format('x', n=2) }}", '<a:1>xx2'],
    ['is undefined in conditions', '{% if not tools and tools is not defined %}no{% endif %}', 'no'],
    ['is no none', '{{ tools is not none }}', 'True'],
  ])('%s', (_, source, expected) => {
    expect(render(source + question)).toBe(`${expected}Hello`);
  });
});

describe('values', () => {
  it.each([
    ["[1, 1.0, true, none, 'it']", "[1, 1.0, True, None, 'it']"],
    ['{"a": [1, {}], "b": (1, 2)}', "{'a': [1, {}], 'b': (1, 2)}"],
    ['7 // 2 ~ " " ~ -7 // 2 ~ " " ~ -7 % 3 ~ " " ~ 7 / 2 ~ " " ~ 2 ** 3', '3 -4 2 3.5 8'],
    ['"1" == 1', 'False'],
    ['1 == 1.0 and [1, "a"] == [1, "a"] and {"a": 1} == {"a": 1}', 'True'],
    ['missing == none', 'False'],
    ["'a' < 'b' and [1, 2] < [1, 3] and 'Z' < 'a'", 'True'],
    ["'ab' * 2 ~ ([1] * 2) ~ ([1] + [2])", 'abab[1, 1][1, 2]'],
    ["'b' in 'abc' and 'b' in {'b': 1} and 2 in [1, 2] and 'b' not in missing", 'True'],
    ["'héllo👍x'[5:] ~ 'abc'[-1] ~ 'abc'[::-1] ~ [1, 2, 3][-2:] ~ 'abcdef'[1:5:2]", '👍xccba[2, 3]bd'],
    ["'👍👍' | length", '2'],
    ["' a  b c '.split() ~ 'a,b,c'.split(',', 1) ~ 'a,b,c'.rsplit(',', 1)", "['a', 'b', 'c']['a', 'b,c']['a,b', 'c']"],
    ["'xxaxx'.strip('x') ~ '|' ~ ' a '.lstrip() ~ '|' ~ ' a '.rstrip()", 'a|a | a'],
    ["'aaa'.replace('a', 'b', 2) ~ 'abc'.replace('', '-') ~ 'abc'.startswith(('x', 'a'))", 'bba-a-b-c-True'],
    ["'hELLO wORLD'.title() ~ 'hELLO'.capitalize()", 'Hello WorldHello'],
    ["{'items': 1}.items() | list", "[('items', 1)]"],
    ["{'items': 1}['items']", '1'],
    ["{'b': 1, 'A': 2} | dictsort", "[('A', 2), ('b', 1)]"],
    ["[3, 1] | sort ~ ([{'k': 2}, {'k': 1}] | map(attribute='k') | list)", '[1, 3][2, 1]'],
    ["[{'r': 'u'}, {'r': 's'}, {}] | selectattr('r', 'defined') | rejectattr('r', 'eq', 'u') | list", "[{'r': 's'}]"],
    ["missing | default('d') ~ ('' | default('e', true)) ~ ('' | default('f'))", 'de'],
    ["'4.7' | int ~ ('x' | int(7)) ~ (2.5 | round) ~ (3 | float)", '472.03.0'],
    ["'a\\n\\nb' | indent(2, first=true)", '  a\n\n  b'],
    ['{"a": [1, "é\\""], "b": none} | tojson', '{"a": [1, "é\\""], "b": null}'],
    ['{"b": [], "a": 1} | tojson(indent=2, sort_keys=true)', '{\n  "a": 1,\n  "b": []\n}'],
    ["'é' | tojson(ensure_ascii=true)", '"\\u00e9"'],
    ['dict(a=1) ~ (range(3) | list) ~ (range(3, 0, -2) | list)', "{'a': 1}[0, 1, 2][3, 1]"],
    ["'a' if false", ''],
  ])('%s', (expression, expected) => {
    expect(evaluate(expression)).toBe(expected);
  });
});

describe('statements', () => {
  it.each([
    [
      'leave a loop and keep what was written',
      '{% for i in range(5) %}{{ i }}{% if i == 1 %}!{% continue %}{% endif %}{% if i == 2 %}.{% break %}{% endif %},{% endfor %}',
      '0,1!2.',
    ],
    [
      'loop over what passes a test',
      '{% for i in range(6) if i is odd %}{{ loop.index }}/{{ loop.length }}:{{ i }}{{ loop.last }} {% endfor %}',
      '1/3:1False 2/3:3False 3/3:5True ',
    ],
    ['forget what a loop sets', '{% for i in [1, 2] %}[{{ x }}]{% set x = i %}{% endfor %}{{ x }}', '[][]'],
    [
      'remember in a namespace',
      '{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}',
      '3',
    ],
    [
      'call macros',
      '{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{{ m(1) }}{{ m(1, 3, 4) }}{{ m(b=1, a=0) }}',
      '12()13(4,)01()',
    ],
    [
      'call blocks',
      '{% macro tag(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call tag("p") %}x{% endcall %}',
      '<p>x</p>',
    ],
    ['unpack', '{% for k, v in {"a": 1}.items() %}{{ k }}{{ v }}{% endfor %}{% set a, b = 1, 2 %}{{ a + b }}', 'a13'],
    ['set and filter blocks', '{% set b %}x{{ 1 }}{% endset %}{% filter upper %}{{ b }}{% endfilter %}', 'X1'],
    ['strip white space', '  {%- if true %}\n  a\n  {% endif %}\nb{# c #}\n', '  a\nb'],
    ['pass over generation marks', '{% generation %}a{% endgeneration %}', 'a'],
  ])('%s', (_, source, expected) => {
    expect(render(source + question)).toBe(`${expected}Hello`);
  });
});

describe('a template that fails', () => {
  it('refuses a conversation in its own words', () => {
    const source = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
    expect(failure(() => render(source + question, conversation))).toMatchObject({
      code: 'invalid-request',
      message: "the model's chat template refuses these messages: System role not supported",
    });
  });

  it.each([
    ["{{ 'a' + missing }}", /line 1: 'missing' is undefined/],
    [
      '{{ messages[0].content }}\n{% if true %}\n  {{ messages[0].nothing.more }}\n{% endif %}',
      /line 3: 'nothing' is undefined/,
    ],
    ["a\n\n{{ 'a' | nonsense }}", /line 3: no filter named 'nonsense'/],
    ['{% set a = "}}\n{{" %}\n{{ nothing() }}', /line 3: 'nothing' is undefined/],
    ["{{ 1 + 'a' }}", /line 1: \+ can't take int and str/],
    ['{{ none | length }}', /'NoneType' object is not iterable/],
    ['{{ 1 / 0 }}', /division by zero/],
    ['{% for a, b in [1] %}{% endfor %}', /'int' object is not iterable/],
  ])('%s: names the line and the reason, and does not blame the user', (source, reason) => {
    const error = failure(() => render(source + question));
    expect(error).toMatchObject({ code: 'model-invalid' });
    expect(error.message).toMatch(/^the model's chat template can't be rendered: line/);
    expect(error.message).toMatch(reason);
    expect(error.message).toMatch(/use plain completions or another model file$/);
  });

  it('keeps control characters and long texts out of the message', () => {
    const error = failure(() => render(`{{ raise_exception('a\\n\\x1b[31m' ~ 'b' * 10000) }}`));
    expect(error.message).toMatch(/: a \[31mb+$/);
    expect(error.message.length).toBeLessThan(600);
  });

  it.each(['{% if %}', '{{ (1 }}', '{% for x in %}', '{{', `${' '.repeat(100_000)}x`, 'x'.repeat(2_000_000)])(
    'does not parse, which plain completions do without',
    (source) => {
      expect(failure(() => render(source))).toMatchObject({
        code: 'model-invalid',
        message: expect.stringMatching(/does not parse: .*use plain completions/) as string,
      });
    },
  );
});

describe('what the user says', () => {
  it.each([
    ['constant', 'You are kind.'],
    ['a loop over something else', '{% for message in conversation %}{{ message.content }}{% endfor %}'],
    ['the first message only', '{{ messages[0].content }}'],
  ])('is missed where the template writes %s', (_, source) => {
    expect(failure(() => render(source, conversation.with(3, { role: 'user', content: 'Wherefore?' })))).toMatchObject({
      code: 'model-invalid',
      message: expect.stringMatching(/leaves out what the user says/) as string,
    });
  });

  it.each([
    ['trims', '{{ messages[-1].content | trim }}', ' a\n\n question \n'],
    ['lays lines out anew', "{{ messages[-1].content.replace('\\n\\n', '\\n') }}", 'one\n\ntwo'],
    ['escapes', "{{ messages[-1].content.replace('<', '&lt;') }}", 'what is <b>?'],
    ['quotes', '{{ messages[-1].content | tojson }}', 'say "hi"\n'],
    ['has no words to keep', '{{ messages[-1].content }}', '👍🏽!'],
    ['has nothing to keep', 'x', ' \n'],
  ])('may be changed by a template that %s', (_, source, content) => {
    expect(render(source, [{ role: 'user', content }])).toBeTypeOf('string');
  });
});

describe('an empty template', () => {
  it.each([null, '', ' \n'])('is none', (source) => {
    expect(ChatTemplate.of(source, { bos: '', eos: '' })).toBeUndefined();
  });
});

describe('what a template may take', () => {
  const limits = { steps: 20_000, characters: 10_000, depth: 20 };

  it.each([
    ['loops', '{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}', /steps/],
    ['a long range', '{% for i in range(1000000000) %}{% endfor %}', /steps/],
    ['a long text', "{{ 'x' * 1000000000 }}", /characters/],
    [
      'a text that doubles',
      "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      /steps|characters/,
    ],
    [
      'a list that doubles',
      '{% set n = namespace(l=[1]) %}{% for i in range(99) %}{% set n.l = n.l + n.l %}{% endfor %}',
      /steps/,
    ],
    [
      'a value of values',
      '{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}',
      /steps|characters/,
    ],
    [
      'values to compare',
      '{% set n = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% set n.m = [n.m, n.m] %}{% endfor %}{{ n.l == n.m }}',
      /steps/,
    ],
    [
      'JSON of values',
      '{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l | tojson }}',
      /steps|characters/,
    ],
    ['much output', "{% for i in range(2000) %}{{ 'a long text' }}{% endfor %}", /characters/],
    ['replacements', "{{ ('x' * 1000).replace('x', 'y' * 1000) }}", /characters/],
    ['separators', "{{ ('x' * 1000) | list | join('y' * 1000) }}", /characters/],
    ['indentation', "{{ ('\\n' * 1000) | indent(1000) }}{{ [1] | tojson(indent=1000000) }}", /characters/],
    ['macros without end', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', /macros/],
    [
      'macros that branch',
      '{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(18) }}',
      /steps/,
    ],
    ['searches', "{% set s = 'ab' * 4000 %}{% for i in range(2000) %}{{ s.find('b' ~ s) }}{% endfor %}", /steps/],
  ])('bounds %s', (_, source, reason) => {
    const error = failure(() => render(source + question, hello, { limits }));
    expect(error).toMatchObject({ code: 'model-invalid' });
    expect(error.message).toMatch(reason);
  });

  it('grows with the conversation', () => {
    const content = 'word '.repeat(400_000);
    const text = render("{% for m in messages %}{{ '<' + m.role + '>' + m.content | trim }}{% endfor %}", [
      { role: 'user', content },
    ]);
    expect(text.length).toBe(content.trim().length + '<user>'.length);
  });

  it('is enough for the longest conversation', () => {
    const messages = Array.from({ length: 4096 }, (_, index): TextMessage => {
      return { role: index % 2 === 0 ? 'user' : 'assistant', content: `message ${index}` };
    });
    const source = '{% for m in messages %}{{ bos_token ~ m.role ~ ":" ~ m.content | trim ~ eos_token }}\n{% endfor %}';
    expect(render(source, messages)).toContain('message 4094');
  });
});

it('of a deployment is checked before anybody uses it', () => {
  ChatTemplate.assertParses('{{ messages }}');
  expect(() => {
    ChatTemplate.assertParses('{% if %}');
  }).toThrow(expect.objectContaining({ code: 'invalid-request', details: { param: 'chatTemplate' } }));
});
