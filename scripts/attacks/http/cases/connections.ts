import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';

import type { HttpAttack, HttpTarget } from '../http-attack.ts';
import { chatOf, chatPath, completionOf, completionPath, mebibyte } from '../json.ts';
import { answerOf, atOnce, beginPost, dial, exchange, expectStatus, pause, rawPost } from '../requests.ts';

const get = (path: string, headers = ''): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`;

/** Checks that a raw answer begins with one of these statuses, or that the connection was just closed. */
function expectRefusal(answer: string, ...statuses: readonly number[]): void {
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
  if (answer !== '' && !statuses.includes(status)) throw new Error(`answered ${answer.slice(0, 200)}`);
}

/** Opens connections a few at a time: no faster than a machine accepts them. */
async function dialMany(
  target: HttpTarget,
  count: number,
  onOpen: (socket: Socket) => void = () => undefined,
): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = await Promise.all(Array.from({ length: 50 }, async () => await dial(target)));
    batch.forEach(onOpen);
    sockets.push(...batch);
    await pause(20);
  }
  return sockets;
}

/** Connections, headers and methods. */
export const connections: readonly HttpAttack[] = [
  {
    name: 'two thousand connections that say nothing',
    isHeavy: true,
    run: async (target) => {
      const sockets = await dialMany(target, 2000);
      await pause(2000);
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: 'six thousand connections that asked once, and stay',
    isHeavy: true,
    run: async (target) => {
      const sockets = await dialMany(target, 6000, (socket) => socket.write(get('/health')));
      await pause(1000);
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: 'a thousand connections that are reset',
    run: async (target) => await atOnce(1000, async () => void (await dial(target)).resetAndDestroy()),
  },
  {
    name: 'headers of a mebibyte',
    run: async (target) => {
      await atOnce(20, async () => {
        expectRefusal(await exchange(target, get('/health', `x: ${'h'.repeat(mebibyte)}\r\n`)), 431);
      });
    },
  },
  {
    name: 'ten thousand headers',
    run: async (target) => expectRefusal(await exchange(target, get('/health', 'x: y\r\n'.repeat(10_000))), 431, 400),
  },
  {
    name: 'headers that never end',
    run: async (target) =>
      await atOnce(300, async () => {
        const socket = await dial(target);
        socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n');
        for (let sent = 0; sent < 10; sent += 1) {
          socket.write('x: y\r\n');
          await pause(100);
        }
        socket.destroy();
      }),
  },
  {
    name: 'a path of 12 KiB, a thousand times',
    run: async (target) =>
      await atOnce(1000, async () => {
        const answer = await exchange(target, get(`/v1/models/${'%2f'.repeat(4000)}`, 'connection: close\r\n'));
        expectRefusal(answer, 404);
      }),
  },
  {
    name: 'five hundred requests in one pipeline',
    run: async (target) => {
      const requests = get('/v1/models').repeat(499) + get('/v1/models', 'connection: close\r\n');
      const answers = (await exchange(target, requests, { waitMs: 20_000 })).split('HTTP/1.1 200').length - 1;
      if (answers !== 500) throw new Error(`${answers} answers`);
    },
  },
  {
    name: 'thirty generations in one pipeline, of a client that is gone',
    run: async (target) => {
      const socket = await dial(target);
      socket.write(rawPost(completionPath, completionOf(target, { max_tokens: 500 })).repeat(30));
      await pause(200);
      socket.destroy();
    },
  },
  {
    name: 'two lengths, and a length beside chunks',
    run: async (target) => {
      const head = `POST ${completionPath} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
      expectRefusal(await exchange(target, `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n{}{}{}`), 400);
      expectRefusal(
        await exchange(target, `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
        400,
      );
    },
  },
  {
    name: 'bytes that are no HTTP',
    run: async (target) =>
      await atOnce(200, async (index) => {
        const tls = Buffer.from('16030100a5010000a1030300', 'hex');
        expectRefusal(await exchange(target, index % 2 === 0 ? tls : randomBytes(1024)), 400);
      }),
  },
  {
    name: 'upgrades and methods that there are not',
    run: async (target) =>
      await atOnce(200, async (index) => {
        const upgrade = get('/v1/models', 'connection: upgrade\r\nupgrade: websocket\r\n');
        const method = `${['TRACE', 'OPTIONS', 'PATCH', 'PROPFIND'][index % 4]} ${chatPath} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`;
        expectRefusal(
          await exchange(target, index % 8 === 0 ? upgrade : method, { waitMs: 500 }),
          200,
          400,
          404,
          405,
          426,
        );
      }),
  },
  {
    name: 'streams that nobody reads, on half of the sequences',
    isHeavy: true,
    run: async (target) => {
      const sockets = await Promise.all(Array.from({ length: 4 }, async () => await dial(target)));
      for (const socket of sockets) {
        socket.pause();
        socket.write(rawPost(chatPath, chatOf(target, { stream: 'true', max_tokens: '1000' })));
      }
      await pause(3000);
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: 'two hundred streams that are left at their first byte',
    isHeavy: true,
    run: async (target) => {
      // One after the other: more at once than wait in a queue would only be refused.
      await atOnce(4, async () => {
        for (let stream = 0; stream < 50; stream += 1) {
          const socket = await dial(target);
          socket.write(rawPost(chatPath, chatOf(target, { stream: 'true', max_tokens: '1000' })));
          await Promise.race([once(socket, 'data'), once(socket, 'close'), pause(5000)]);
          socket.destroy();
        }
      });
    },
  },
  {
    name: 'five hundred questions about the status at once',
    run: async (target) =>
      await atOnce(500, async () => {
        const answer = await exchange(target, get('/skein/v1/status', 'connection: close\r\n'), { waitMs: 20_000 });
        if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`answered ${answer.slice(0, 100)}`);
      }),
  },
  {
    name: 'a page of another host',
    run: async (target) => {
      const sent = beginPost(target, completionPath, { host: 'evil.example' });
      sent.end(completionOf(target));
      await expectStatus(answerOf(sent), 400);
    },
  },
];
