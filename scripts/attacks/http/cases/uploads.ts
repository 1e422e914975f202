import { once } from 'node:events';

import { hasCode } from '@skein/protocol';

import type { HttpAttack } from '../http-attack.ts';
import { chatAbout, chatOf, chatPath, completionOf, completionPath, mebibyte } from '../json.ts';
import { answerOf, atOnce, beginPost, dial, exchange, expectStatus, pause, post, rawPost } from '../requests.ts';

/** Bodies that do not come in one piece. */
export const uploads: readonly HttpAttack[] = [
  {
    name: 'a body that says it has 17 MB',
    run: async (target) => {
      const sent = beginPost(target, chatPath, { 'content-length': 17_000_000 });
      sent.on('error', () => undefined);
      sent.write('{');
      await expectStatus(answerOf(sent), 413);
      sent.destroy();
    },
  },
  {
    name: 'a body without end, in chunks',
    isHeavy: true,
    run: async (target) => {
      const sent = beginPost(target, chatPath).setMaxListeners(0);
      sent.on('error', () => undefined);
      const answer = answerOf(sent);
      const answered = new AbortController();
      sent.once('response', () => answered.abort());
      const piece = Buffer.alloc(mebibyte, 0x20);
      for (let pieces = 0; pieces < 64 && !answered.signal.aborted && !sent.destroyed; pieces += 1) {
        if (!sent.write(piece))
          await Promise.race([once(sent, 'drain'), answer.catch(() => undefined), once(sent, 'close')]);
      }
      // A client that sends on for too long after the answer is cut off, and may not get to read it.
      await expectStatus(answer, 413).catch((error: unknown) => {
        if (!hasCode(error, 'EPIPE') && !hasCode(error, 'ECONNRESET')) throw error;
      });
      sent.destroy();
    },
  },
  {
    name: 'a body in chunks of one byte',
    run: async (target) => {
      const body = chatAbout(target, `"${'x'.repeat(500_000)}"`);
      const chunks = Array.from(body, (character) => `1\r\n${character}\r\n`).join('');
      const head = `POST ${chatPath} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
      const answer = await exchange(target, `${head}${chunks}0\r\n\r\n`, { waitMs: 30_000 });
      if (!answer.startsWith('HTTP/1.1 400 ')) throw new Error(`answered ${answer.slice(0, 200)}`);
    },
  },
  {
    name: 'chunks with extensions without end',
    run: async (target) => {
      const head = `POST ${chatPath} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1;`;
      const answer = await exchange(target, `${head}${'e'.repeat(mebibyte)}`);
      if (answer.startsWith('HTTP/1.1 200')) throw new Error('it was served');
    },
  },
  {
    name: 'two hundred clients that leave during an upload',
    run: async (target) =>
      await atOnce(200, async () => {
        const socket = await dial(target);
        socket.write(rawPost(chatPath, '{"model":', { 'content-length': 100_000 }));
        await pause(20);
        socket.destroy();
      }),
  },
  {
    name: 'five hundred uploads of a byte at a time',
    isHeavy: true,
    run: async (target) =>
      await atOnce(500, async () => {
        const socket = await dial(target);
        socket.write(rawPost(chatPath, '', { 'content-length': 1000 }));
        for (let sent = 0; sent < 30 && !socket.destroyed; sent += 1) {
          socket.write('{');
          await pause(100);
        }
        socket.destroy();
      }),
  },
  {
    name: 'long bodies that stop before their last byte, and a long one beside them',
    isHeavy: true,
    run: async (target) => {
      const body = chatAbout(target, `"${'x'.repeat(mebibyte)}"`);
      const stuck = Array.from({ length: 40 }, () => {
        const sent = beginPost(target, chatPath, { 'content-length': body.length });
        sent.on('error', () => undefined);
        sent.write(body.slice(0, -1));
        return sent;
      });
      await pause(500);
      // There is room, or it is told so.
      await expectStatus(post(target, chatPath, body), 400, 429);
      for (const sent of stuck) sent.destroy();
    },
  },
  {
    name: 'a hundred that want to be told to continue, and do not',
    run: async (target) =>
      await atOnce(100, async () => {
        const sent = beginPost(target, chatPath, { 'content-length': 1000, expect: '100-continue' });
        sent.on('error', () => undefined);
        sent.flushHeaders();
        await once(sent, 'continue');
        sent.destroy();
      }),
  },
  {
    name: 'clients that close their half of the connection',
    run: async (target) =>
      await atOnce(4, async () => {
        for (let client = 0; client < 10; client += 1) {
          const socket = await dial(target, { allowHalfOpen: true });
          let text = '';
          socket.on('data', (chunk) => (text += String(chunk)));
          socket.end(rawPost(completionPath, completionOf(target)));
          await once(socket, 'end');
          if (!text.includes('HTTP/1.1 200 ')) throw new Error(`answered ${text.slice(0, 200)}`);
        }
      }),
  },
  {
    name: 'forty that close their half of the connection and are gone',
    run: async (target) =>
      await atOnce(40, async () => {
        const socket = await dial(target, { allowHalfOpen: true });
        socket.end(rawPost(chatPath, chatOf(target, { max_tokens: '2000' })));
        await pause(50);
        socket.destroy();
      }),
  },
];
