import type { HttpAttack, HttpTarget } from '../http-attack.ts';
import { chatOf, chatPath, completionOf, completionPath } from '../json.ts';
import { atOnce, expectStatus, post, type Headers } from '../requests.ts';

/** Makes an attack by requests with headers that are all answered with one of these statuses. */
function answered(name: string, all: readonly Headers[], ...statuses: readonly number[]): HttpAttack {
  return {
    name,
    run: async (target: HttpTarget) => {
      for (const headers of all) {
        await expectStatus(post(target, completionPath, completionOf(target), headers), ...statuses);
      }
    },
  };
}

/** Makes the same header with each of these values. */
function each(name: string, values: readonly string[]): readonly Headers[] {
  return values.map((value) => ({ [name]: value }));
}

const long = 'x'.repeat(12_000);
const numbers = ['-1', '0', '1e9', 'NaN', 'Infinity', '0x10', '1.5', '9'.repeat(400), '', ' ', long];

/** Headers of Skein's own that say nonsense, or what belongs to others. */
export const headers: readonly HttpAttack[] = [
  answered(
    'labels that no machine can have',
    each('x-skein-labels', ['=', 'zone', 'a=b=c', 'a=1,a=2', ',', 'a=1,', `${long}=x`, `a=${long}`, 'é=1', '__proto__', 'a=1,'.repeat(2500)]), // prettier-ignore
    400,
  ),
  answered(
    'labels that nobody has, by names of everything',
    each('x-skein-labels', ['__proto__=x', 'constructor=x', 'toString=x', 'zone=nowhere', 'zone=nowhere,__proto__=x']),
    400,
    503,
  ),
  answered('sessions with names of 12 KB', each('x-session-id', [long]), 400),
  answered('sessions with names of everything', each('x-session-id', ['__proto__', 'constructor', '%00', '..', ' ']), 200), // prettier-ignore
  {
    name: 'two hundred sessions of one request each',
    isHeavy: true,
    run: async (target) =>
      await atOnce(4, async (client) => {
        for (let session = 0; session < 50; session += 1) {
          const own = { 'x-session-id': `${client}-${session}` };
          await expectStatus(post(target, completionPath, completionOf(target, { max_tokens: 1 }), own), 200, 429);
        }
      }),
  },
  answered('deadlines that are none', each('x-skein-deadline-ms', numbers), 400),
  answered('priorities that there are not', each('x-skein-priority', ['urgent', '0', '__proto__', long]), 400),
  answered('events of a queue that are neither wanted nor not', each('x-skein-queue-events', ['2', 'yes', long]), 400),
  {
    name: 'streams that were never sent, to be continued',
    run: async (target) => {
      const ids = ['x', '1', ':', 'chatcmpl-1', 'chatcmpl-1:', 'chatcmpl-1:-1', 'chatcmpl-1:1e3', '__proto__:1', `${'x'.repeat(65)}:1`, `x:${'9'.repeat(12)}`, `x:1:${'m'.repeat(65)}`, 'x:1:0-0-0-0-0', 'x:1:zzzzzzz-zzzzzzzzzzz-0-0', long]; // prettier-ignore
      for (const id of ids)
        await expectStatus(post(target, chatPath, chatOf(target, { stream: 'true' }), { 'last-event-id': id }), 404);
    },
  },
  {
    name: "a thousand guesses at others' streams",
    run: async (target) =>
      await atOnce(20, async () => {
        for (let guess = 0; guess < 50; guess += 1) {
          const id = `chatcmpl-${crypto.randomUUID()}:${guess}`;
          await expectStatus(post(target, chatPath, chatOf(target, { stream: 'true' }), { 'last-event-id': id }), 404);
        }
      }),
  },
  {
    name: 'states of answers that nobody has given, to be continued',
    run: async (target) => {
      const promptHash = 'a'.repeat(64);
      for (const change of [
        {},
        { tokens: [2 ** 31 - 1] },
        { tokens: Array.from({ length: 50_000 }, () => 1) },
        { emittedCharacters: Number.MAX_SAFE_INTEGER },
        { mu: 1e308 },
        { askedAt: 1e300 },
      ]) {
        const state = { promptHash, askedAt: 5, tokens: [1], emittedCharacters: 1, ...change };
        const body = chatOf(target, { stream: 'true', seed: '1', skein_resume: JSON.stringify(state) });
        await expectStatus(post(target, chatPath, body), 400);
      }
    },
  },
];

const planPath = '/skein/v1/plans';

/** Requests of operators, with sizes that no machine has. */
export const operators: readonly HttpAttack[] = [
  {
    name: 'plans of absurd sizes',
    run: async (target) => {
      const machine = { name: 'x', memoryBytes: 2 ** 40 };
      const { model } = target;
      for (const request of [
        { model, add: Array.from({ length: 17 }, () => machine) },
        { model, add: [{ ...machine, memoryBytes: 2 ** 60 }] },
        { model, add: [{ ...machine, gpus: Array.from({ length: 1000 }, () => machine) }] },
        { model, add: [{ ...machine, link: { roundTripMs: -1, bytesPerSecond: 0 } }] },
        { model, remove: Array.from({ length: 1000 }, () => 'x') },
        { model, contextTokens: 2 ** 40 },
        { model, stages: 1e6 },
        { model, sequences: 1e9 },
      ]) {
        await expectStatus(post(target, planPath, JSON.stringify(request)), 400);
      }
    },
  },
  {
    name: 'a hundred plans with sixteen more machines at once',
    isHeavy: true,
    run: async (target) => {
      const add = Array.from({ length: 16 }, (_, index) => ({ name: `m${index}`, memoryBytes: 2 ** 34 + index }));
      const body = JSON.stringify({ model: target.model, add });
      await atOnce(100, async () => await expectStatus(post(target, planPath, body), 200, 429, 503));
    },
  },
  {
    name: 'drains of machines that are not there',
    run: async (target) => {
      for (const peer of ['nobody', '..%2f..', '__proto__', 'x'.repeat(300), '%00'])
        await expectStatus(post(target, `/skein/v1/peers/${peer}/drain`, '{}'), 400, 404);
    },
  },
];
