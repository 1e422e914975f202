import { createInterface } from 'node:readline';

import { connect } from '@skein/client';

import { askOverHttp } from './ask-over-http.ts';
import { askWithSdk } from './ask-with-sdk.ts';
import type { Access, Answer, ClientCommand, ClientMessage } from './client-messages.ts';
import { MeshClient } from './mesh-client.ts';
import type { RunRequest } from './requests.ts';

/** A client in a process of its own: carries out the commands that it reads, several at once, until they end. */

const access = JSON.parse(process.argv[2] ?? '') as Access;
const say = (message: ClientMessage): void => console.log(JSON.stringify(message));
const member = access.way === 'mesh' ? await MeshClient.join(access.invite, access.name) : undefined;
const sdk = access.way === 'http' ? await connect({ url: access.urls }) : member?.sdk;

say({ ready: true });
for await (const line of createInterface(process.stdin)) void carryOut(JSON.parse(line) as ClientCommand);
process.exit(0);

async function carryOut(command: ClientCommand): Promise<void> {
  const { number, request } = command;
  try {
    if (command.do === 'ask') say({ number, answer: await ask(request) });
    else say({ number, tokens: (await member?.replay(request, command.tokens)) ?? [] });
  } catch (error) {
    say({ number, failure: String(error) });
  }
}

/** Asks as the SDK's users do; for several choices, which the SDK does not have, as others do. */
async function ask(request: RunRequest): Promise<Answer> {
  if (request.choices > 1 && access.way === 'http') return await askOverHttp(access.urls[0], request);
  if (sdk === undefined) throw new Error('a client without a way to ask');
  return await askWithSdk(sdk, request);
}
