import type { HttpAttack } from '../http-attack.ts';
import { chatAbout, chatOf, chatPath, completionOf, completionPath, mebibyte } from '../json.ts';
import { atOnce, expectStatus, post } from '../requests.ts';

const eightMebibytes = `"${'hello world '.repeat((8 * mebibyte) / 12 - 10)}"`;
/** Statuses of a request that is served, or refused for the model's context or for the load. */
const anyRefusal = [200, 400, 413, 429, 503] as const;

/** Prompts that are long, or many. */
export const prompts: readonly HttpAttack[] = [
  {
    name: 'twenty prompts of 8 MiB at once',
    isHeavy: true,

    run: async (target) =>
      await atOnce(
        20,
        async () => await expectStatus(post(target, chatPath, chatAbout(target, eightMebibytes)), ...anyRefusal),
      ),
  },
  {
    name: 'a prompt of 8 MiB in eight choices',
    isHeavy: true,
    run: async (target) =>
      await expectStatus(post(target, chatPath, chatAbout(target, eightMebibytes, { n: '8' })), 400),
  },
  {
    name: 'a prompt of 5 MiB of escapes',
    isHeavy: true,
    run: async (target) => {
      const body = chatAbout(target, `"${'\\u4e2d\\n\\"'.repeat((5 * mebibyte) / 10)}"`);
      await expectStatus(post(target, chatPath, body), 400);
    },
  },
  {
    name: 'a prompt of 7 MiB of characters of four bytes',
    isHeavy: true,
    run: async (target) =>
      await expectStatus(post(target, chatPath, chatAbout(target, `"${'😀'.repeat((7 * mebibyte) / 4)}"`)), 400),
  },
  {
    name: 'a prompt of more text than there may be',
    isHeavy: true,
    run: async (target) =>
      await expectStatus(post(target, chatPath, chatAbout(target, `"${'中'.repeat(4 * mebibyte)}"`)), 413),
  },
  {
    name: 'a million token ids',
    run: async (target) => {
      const prompt = Array.from({ length: 1_000_000 }, (_, index) => index % 100);
      await expectStatus(post(target, completionPath, completionOf(target, { prompt })), 400);
    },
  },
  {
    name: 'four thousand messages of 2 KiB',
    isHeavy: true,
    run: async (target) => {
      const messages = Array.from({ length: 4000 }, () => ({ role: 'user', content: 'hello world '.repeat(170) }));
      await expectStatus(post(target, chatPath, chatOf(target, { messages: JSON.stringify(messages) })), 400);
    },
  },
  {
    name: 'a thousand requests for no model at once',
    run: async (target) =>
      await atOnce(1000, async () => {
        await expectStatus(post(target, completionPath, completionOf(target, { model: 'nobody/has-it' })), 404, 503);
      }),
  },
];
