import type { HttpAttack, HttpTarget } from '../http-attack.ts';
import { completionOf, completionPath } from '../json.ts';
import { atOnce, expectStatus, post } from '../requests.ts';

/** Twenty rules, each of which derives the one before once or twice: there are 2^20 ways to read a text. */
const doubling = [
  'root ::= x20',
  'x0 ::= "a"',
  ...Array.from({ length: 20 }, (_, index) => `x${index + 1} ::= x${index} x${index} | x${index}`),
].join('\n');
const optionals = `root ::= ("a"|"b"|"c"|"ab"|"bc")* ${'("a"? "b"? "c"?)? '.repeat(40)}`;
const nestedGroups = `root ::= [^"] ${'('.repeat(5000)}"a"${')'.repeat(5000)}`;
const manyWays = `root ::= ${Array.from({ length: 200 }, (_, index) => `r${index}`).join(' | ')}\n${Array.from(
  { length: 200 },
  (_, index) => `r${index} ::= r${(index + 1) % 200} r${(index + 7) % 200} | [a-z ] | "a" r${(index + 3) % 200}`,
).join('\n')}`;
const emptyRepetitions = `root ::= ${'('.repeat(60)}""${'*)'.repeat(60)} [a-z ]*`;

/** Sends a request eight times, one after another, and then half as often at once: others need places, too. */
function again(fields: object, ...statuses: readonly number[]) {
  return async (target: HttpTarget): Promise<void> => {
    const ask = async (): Promise<void> =>
      await expectStatus(
        post(target, completionPath, completionOf(target, { max_tokens: 40, ...fields })),
        ...statuses,
      );
    for (let count = 0; count < 8; count += 1) await ask();
    await atOnce(4, ask);
  };
}

function schema(of: object): object {
  return { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: of } } };
}

/** Makes an object whose properties are objects of the same kind, `depth` levels deep. */
function branching(depth: number): object {
  if (depth === 0) return { type: 'string', maxLength: 50 };
  const properties = Object.fromEntries(Array.from({ length: 4 }, (_, index) => [`p${index}`, branching(depth - 1)]));
  return { type: 'object', properties, required: [] };
}

/** Grammars and schemas that cost the sampler much work, and requests for long answers. */
export const grammars: readonly HttpAttack[] = [
  { name: 'a grammar of 425 bytes with a million readings', run: again({ grammar: doubling }, 200, 400, 429) },
  { name: 'a grammar of optional parts', run: again({ grammar: optionals }, 200, 400, 429) },
  { name: 'five thousand groups in one another', run: again({ grammar: nestedGroups }, 400, 429) },
  { name: 'two hundred rules that call one another', run: again({ grammar: manyWays }, 200, 400, 429) },
  { name: 'repetitions of nothing', run: again({ grammar: emptyRepetitions }, 200, 400, 429) },
  { name: 'a grammar that counts to a million', run: again({ grammar: 'root ::= [a-z ]{1000000}' }, 400, 429) },
  { name: 'a grammar of 125 KB', run: again({ grammar: `root ::= ${'"a" | '.repeat(20_000)}"b"` }, 200, 400, 429) },
  { name: 'a schema of a thousand optional properties', run: again(schema(branching(5)), 200, 400, 429) },
  {
    name: 'alternatives of two hundred schemas',
    run: again(
      schema({ anyOf: Array.from({ length: 200 }, (_, at) => ({ type: 'array', minItems: at })) }),
      200,
      400,
      429,
    ),
  },
  {
    name: 'eight answers of as many tokens as there may be',
    run: async (target) =>
      await atOnce(8, async () => {
        const body = completionOf(target, { max_tokens: 1000 });
        await expectStatus(post(target, completionPath, body), 200, 429);
      }),
  },
];
