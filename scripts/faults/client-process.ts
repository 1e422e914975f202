import { createInterface } from 'node:readline';

import { askOverHttp } from './ask-over-http.ts';
import type { Access, ClientCommand, ClientMessage } from './client-messages.ts';
import { MeshClient } from './mesh-client.ts';

/** A client in a process of its own: carries out the commands that it reads, several at once, until they end. */

const access = JSON.parse(process.argv[2] ?? '') as Access;
const say = (message: ClientMessage): void => console.log(JSON.stringify(message));
const member = access.way === 'mesh' ? await MeshClient.join(access.invite, access.name) : undefined;

say({ ready: true });
for await (const line of createInterface(process.stdin)) void carryOut(JSON.parse(line) as ClientCommand);
process.exit(0);

async function carryOut(command: ClientCommand): Promise<void> {
  const { number, request } = command;
  try {
    if (command.do === 'ask') {
      say({ number, answer: access.way === 'http' ? await askOverHttp(access.url, request) : await ask(request) });
    } else {
      say({ number, tokens: (await member?.replay(request, command.tokens)) ?? [] });
    }
  } catch (error) {
    say({ number, failure: String(error) });
  }
}

async function ask(request: ClientCommand['request']) {
  if (member === undefined) throw new Error('a client without a mesh');
  return await member.ask(request);
}
