import { array, assert, boolean, integer, property, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { MatchMemory } from './match-memory.ts';
import { Matcher } from './matcher.ts';
import { WorkBudget } from './work-budget.ts';

/**
 * Matches a text: `whole` when the grammar derives it, `part` when it derives a longer one, else the byte at which it
 * fails.
 */
function match(grammar: string, text: string | Uint8Array, budget = () => new WorkBudget()): 'whole' | 'part' | number {
  const matcher = new Matcher(grammar);
  let state = matcher.start(budget());
  for (const [index, byte] of Buffer.from(text).entries()) {
    const next = matcher.step(state, byte, budget());
    if (next === undefined) return index;
    state = next;
  }
  return state.accepts ? 'whole' : 'part';
}

const json = `root ::= value
value ::= object | array | string | "0" | [1-9] [0-9]* | "null"
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
array ::= "[" (value ("," value)*)? "]"
string ::= "\\"" ([^"\\\\] | "\\\\" .)* "\\""`;

describe('matching a text against a grammar', () => {
  it.each([
    ['root ::= "yes" | "no"', 'no', 'whole'],
    ['root ::= "yes" | "no"', 'ye', 'part'],
    ['root ::= "yes" | "no"', 'nope', 2],
    ['root ::= [a-c]{2,3}', 'a', 'part'],
    ['root ::= [a-c]{2,3}', 'abc', 'whole'],
    ['root ::= [a-c]{2,3}', 'abca', 3],
    ['root ::= "a"*', '', 'whole'],
    ['root ::= ("a"?)*', 'aaaa', 'whole'],
    ['root ::= [^ü]', 'ü', 1],
    ['root ::= [à-ÿ一-龥😀]+', 'é漢😀', 'whole'],
    ['root ::= .', '\u{10ffff}', 'whole'],
    [json, '{"a":[1,{"b":"\\""},null],"c":[]}', 'whole'],
    [json, '{"a":[1,{"b":"\\""},null],"c":[}', 30],
    [json, '['.repeat(500), 'part'],
    ['root ::= "(" root ")" root | ""', '(()())()', 'whole'],
    ['root ::= root "a" | "a"', 'aaa', 'whole'],
    ['root ::= root', 'a', 0],
    ['root ::= x root | "."\nx ::= y\ny ::= x | "" | "b"', 'bb.', 'whole'],
  ])('%s: %s', (grammar, text, expected) => {
    expect(match(grammar, text)).toBe(expected);
  });

  it('takes no bytes that are not UTF-8', () => {
    expect(match('root ::= .*', Buffer.from([0xc0, 0x80]))).toBe(0);
    expect(match('root ::= .*', Buffer.from([0xed, 0xa0, 0x80]))).toBe(1);
    expect(match('root ::= .*', Buffer.from([0xf4, 0x90, 0x80, 0x80]))).toBe(1);
  });

  it('agrees with regular expressions on characters of all planes', () => {
    const codePoint = integer({ min: 0, max: 0x10_ffff }).filter((point) => point < 0xd800 || point > 0xdfff);
    const range = tuple(codePoint, codePoint).map(([one, other]) => [Math.min(one, other), Math.max(one, other)]);
    const escape = (point = 0) => `\\U${point.toString(16).padStart(8, '0')}`;
    const agrees = property(
      array(range, { minLength: 1, maxLength: 4 }),
      boolean(),
      codePoint,
      (ranges, isNegated, point) => {
        const written = ranges.map(([from, to]) => `${escape(from)}-${escape(to)}`).join('');
        const isIn = ranges.some(([from = 0, to = 0]) => from <= point && point <= to);
        const grammar = `root ::= [${isNegated ? '^' : ''}${written}]`;
        expect(match(grammar, String.fromCodePoint(point)) === 'whole').toBe(isIn !== isNegated);
      },
    );
    assert(agrees, { numRuns: 300 });
  });

  it('takes as many steps for a long list as for a short one, at each byte', () => {
    const list = 'root ::= item ("," root)?\nitem ::= [a-z]+';
    const spent = (items: number): number => {
      let most = 0;
      const text = Array.from({ length: items }, () => 'ab').join();
      match(list, text, () => {
        const budget = new WorkBudget({ steps: Infinity });
        let steps = 0;
        budget.spend = () => void (most = Math.max(most, (steps += 1)));
        return budget;
      });
      return most;
    };
    expect(spent(300)).toBe(spent(3));
  });

  it.each([
    [
      'rules that double',
      Array.from({ length: 20 }, (_, index) => `x${index + 1} ::= x${index} x${index} | x${index}`).join('\n'),
    ],
    ['optional alternatives in a loop', 'x20 ::= ("a" | "b" | "a"? | ("a" | "c"?)*)*'],
  ])('reads %s within the budget', (_, rules) => {
    expect(match(`root ::= x20\nx0 ::= "a"\n${rules}`, 'a'.repeat(40))).toBe('whole');
  });

  it('gives up on work beyond the budget, in steps and in time', () => {
    const grammar = 'root ::= "a" root "b" | "a" root | ""';
    expect(() => match(grammar, 'a'.repeat(1000), () => new WorkBudget({ steps: 100 }))).toThrow(
      expect.objectContaining({ code: 'invalid-request', details: { param: 'grammar' } }),
    );
    let nowMs = 0;
    const slow = () => new WorkBudget({ milliseconds: 10, nowMs: () => (nowMs += 100) });
    const wide = `root ::= ${Array.from({ length: 3000 }, () => '[ab]').join(' | ')}`;
    expect(() => match(wide, 'a', slow)).toThrow(expect.objectContaining({ code: 'invalid-request' }));
  });

  it('goes on from states that were made before it had to forget', () => {
    const matcher = new Matcher('root ::= "\\"" [^"]{0,4000} "\\"" | "\'" [^\']{0,4000} "\'"');
    const budget = new WorkBudget({ steps: Infinity, milliseconds: Infinity });
    const middle = matcher.advance(matcher.start(budget), Buffer.from(`"${'x'.repeat(100)}`), budget);
    for (let times = 0; times < 30; times += 1) {
      matcher.advance(matcher.start(budget), Buffer.from(`'${'é'.repeat(4000)}'`), budget);
    }
    const end = middle && matcher.advance(middle, Buffer.from(`${'y'.repeat(3900)}"`), budget);
    expect(end?.accepts).toBe(true);
    expect(middle && matcher.advance(middle, Buffer.from('y'.repeat(3901)), budget)).toBeUndefined();
  });

  it('gives up on a text that leaves too many rules open, long before it takes hundreds of megabytes', () => {
    const rules = Array.from({ length: 300 }, (_, index) => `r${index} ::= r${index + 1} r${index + 1} | "b"`);
    const grammar = `root ::= r0\n${rules.join('\n')}\nr300 ::= "a" root | "c"`;
    const budget = (): WorkBudget => new WorkBudget({ steps: Infinity, milliseconds: Infinity });
    expect(match(grammar, 'a'.repeat(50), budget)).toBe('part');
    expect(() => match(grammar, 'a'.repeat(1000), budget)).toThrow(
      expect.objectContaining({ code: 'invalid-request', message: expect.stringContaining('open at once') as string }),
    );
  });

  it('forgets, together with all other grammars, what is more than all may remember', () => {
    const memory = new MatchMemory(2000);
    const budget = new WorkBudget({ steps: Infinity, milliseconds: Infinity });
    const [one, other] = [new Matcher('root ::= [a-z]*', memory), new Matcher('root ::= "x"{0,4000}', memory)];
    const start = one.start(budget);
    one.advance(start, Buffer.from('a'), budget);
    expect(start.next).not.toEqual([]);
    other.advance(other.start(budget), Buffer.from('x'.repeat(200)), budget);
    expect(start.next).toEqual([]);
    expect(one.advance(start, Buffer.from('abc'), budget)?.accepts).toBe(true);
  });

  it.each([
    'root ::= ((([^"]{0,100}){0,100}){0,100}){0,100}',
    `root ::= ${'[^"]'.repeat(60_000)}`,
    `root ::= "${'a'.repeat(250_000)}"`,
    'root ::= (((("" ){65535}){65535}){65535}){65535} "a"',
    `root ::= x12\nx0 ::= ""\n${Array.from({ length: 12 }, (_, index) => `x${index + 1} ::= ${`x${index} `.repeat(60)}`).join('\n')}`,
  ])('refuses a grammar that is too large written out', (grammar) => {
    expect(() => new Matcher(grammar)).toThrow(expect.objectContaining({ code: 'invalid-request' }));
  });
});
