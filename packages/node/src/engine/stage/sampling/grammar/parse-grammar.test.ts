import { describe, expect, it } from 'vitest';

import { grammarBounds, parseGrammar } from './parse-grammar.ts';

describe('a grammar in GBNF', () => {
  it('is rules of texts, classes, names, groups, alternatives and repetitions', () => {
    const grammar = parseGrammar('# greets\nroot ::= "a\\n\\x41\\u00e9" (b | [^x-z_]+)? # done\nb ::= .{2,3}\n');
    expect(Object.fromEntries(grammar)).toEqual({
      root: {
        kind: 'sequence',
        parts: [
          { kind: 'text', text: 'a\nAé' },
          {
            kind: 'repetition',
            least: 0,
            most: 1,
            of: {
              kind: 'choice',
              options: [
                { kind: 'rule', name: 'b' },
                {
                  kind: 'repetition',
                  least: 1,
                  most: Infinity,
                  of: {
                    kind: 'character',
                    ranges: [
                      [0x78, 0x7a],
                      [0x5f, 0x5f],
                    ],
                    isNegated: true,
                  },
                },
              ],
            },
          },
        ],
      },
      b: {
        kind: 'repetition',
        least: 2,
        most: 3,
        of: { kind: 'character', ranges: [[0, 0x10_ffff]], isNegated: false },
      },
    });
  });

  it('goes on in the next line inside a group and after an alternative, and nowhere else', () => {
    expect([...parseGrammar('root ::= ("a"\n  "b"\n) |\n  "c"').keys()]).toEqual(['root']);
    expect(() => parseGrammar('root ::= "a"\n  "b"')).toThrow('line 2, column 3: a rule begins with a name');
  });

  it('takes brackets in texts, classes and comments for what they are', () => {
    const parentheses = '('.repeat(100);
    expect(() => parseGrammar(`root ::= [^"] "${parentheses}" [(] # ${parentheses}`)).not.toThrow();
  });

  it('takes every escape of llama.cpp', () => {
    const escapes = '\\t\\r\\n\\\\\\"\\[\\]\\-\\x41\\u00e9\\U0001f600';
    expect(parseGrammar(`root ::= "${escapes}"`).get('root')).toEqual({ kind: 'text', text: '\t\r\n\\"[]-Aé😀' });
  });

  it.each([
    ['root ::= "abc', 'line 1, column 10: this text has no closing `"`'],
    ['root ::= [abc', 'line 1, column 10: this character class has no closing `]`'],
    ['root ::= ("a"', 'line 1, column 10: this group has no closing `)`'],
    ['root ::= "a" )', 'line 1, column 14: no group is open that `)` could close'],
    ['root = "a"', 'line 1, column 6: the rule `root` needs `::=` after its name'],
    ['root ::= "a"\nx ::= y', 'line 2, column 7: there is no rule `y`'],
    ['x ::= "a"', 'it has no rule `root`'],
    ['', 'it has no rule `root`'],
    ['root ::= *', 'line 1, column 11: there is nothing before it that it could repeat'],
    ['root ::= "a"{3,2}', 'a repetition is {m}, {m,} or {m,n}'],
    ['root ::= "a"{99999}', `line 1, column 14: repetitions go up to ${grammarBounds.repetitions}`],
    ['root ::= "\\q"', 'line 1, column 11: escapes are'],
    ['root ::= "\\ud800"', 'line 1, column 11: there is no such character'],
    ['root ::= [z-a]', 'this range ends before it begins'],
    [`root ::= [${'ab'.repeat(3000)}] [${'ab'.repeat(3000)}]`, 'character classes have more than 10000 ranges in all'],
    ['root ::= <think>', 'tokens can not be named'],
    [`root ::= [^"] ${'('.repeat(5000)}"a"${')'.repeat(5000)}`, 'groups are nested deeper than 64'],
    [`root ::= "a"${'*'.repeat(100_000)}`, 'this is repeated in too many ways'],
    [Array.from({ length: 5000 }, (_, index) => `r${index} ::= "a"`).join('\n'), 'it has more than 4096 rules'],
  ])('that is %s is refused with the place and the reason', (text, message) => {
    expect(() => parseGrammar(text)).toThrow(
      expect.objectContaining({
        code: 'invalid-request',
        message: expect.stringContaining(message) as string,
        details: { param: 'grammar' },
      }),
    );
  });
});
