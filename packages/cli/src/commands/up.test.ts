import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Authority, loadIdentity, saveMembership } from '@skein/mesh';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { writeTinyModel } from '../../../../scripts/fixtures/tiny-models.ts';
import { startFileServer } from '../../../node/src/sources/test-support/file-server.ts';
import { runInProcess } from '../testing/run-in-process.ts';

async function temporaryData() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-up-'));
}

/** Returns the facts that `up` prints about itself, and then interrupts it. */
async function upOnce(words: readonly string[]): Promise<string> {
  const controller = new AbortController();
  const { signal } = controller;
  const { stdout, stderr } = await runInProcess(words, { signal, onPrint: () => controller.abort() });
  expect(stderr).toBe('');
  return stdout;
}

const quiet = ['--port', '0', '--no-serve', '--no-mdns'];
const here = ['--listen', '/ip4/127.0.0.1/tcp/0'];

test('says how to let others in with the same command, as it was given', async () => {
  await using root = await temporaryData();
  const data = join(root.path, "attic's");
  const given = [...quiet, '--peer', '/ip4/127.0.0.1/tcp/9', '--peer', '/ip4/127.0.0.1/tcp/19', '--name', 'the attic'];
  // Nobody is at these addresses, as the log would say.
  const printed = await upOnce(['--data', data, '--log-level', 'error', 'up', ...given, ...here]);
  const next = printed.split('\n').find((line) => line.startsWith('  skein up '));
  expect(next).toContain(
    "--port 0 --no-serve --peer /ip4/127.0.0.1/tcp/9 --peer /ip4/127.0.0.1/tcp/19 --no-mdns --name 'the attic'",
  );
  expect(next).toContain(String.raw`--data '${root.path}/attic'\''s'`);
  expect(next?.match(/--listen \S+/g)).toEqual(['--listen /ip4/0.0.0.0/tcp/7330']);
});

test('stays awake where that was asked for, says so, and repeats no opposite', async () => {
  await using root = await temporaryData();
  const words = [
    'up',
    '--data',
    root.path,
    ...quiet.filter((word) => word !== '--no-serve'),
    '--backend',
    'cpu',
    ...here,
  ];
  const printed = await upOnce([...words, '--keep-awake']);
  expect(printed).toContain('\nThis machine stays awake while it holds a stage');
  expect(printed).toMatch(/^ {2}skein up .* --keep-awake(?! --no-keep-awake)/m);
  expect(await upOnce([...words, '--no-keep-awake'])).not.toContain('awake while');
}, 30_000);

test('says no more than was given', async () => {
  await using root = await temporaryData();
  const printed = await upOnce(['up', '--data', root.path, ...quiet, ...here]);
  expect(printed).toContain(
    `\n  skein up --listen /ip4/0.0.0.0/tcp/7330 --port 0 --no-serve --no-mdns --data ${root.path}\n`,
  );
});

test('invites nobody where another machine has the authority', async () => {
  await using root = await temporaryData();
  const { peerId } = await loadIdentity(root.path);
  const authority = await Authority.ephemeral();
  await saveMembership(root.path, await authority.admit(peerId, { roles: ['coordinator'], name: 'attic' }));
  const printed = await upOnce(['up', '--data', root.path, ...quiet, ...here]);
  expect(printed).toMatch(/^Skein is up\..*\nThe keys in .*\n$/);
});

const refusalSchema = z.object({ error: z.object({ code: z.string() }) });
const statusSchema = z.object({ deployments: z.array(z.looseObject({ id: z.string() })) });

/**
 * Runs `up --model`, and asks that model from the moment at which the API is there until it answers. Returns the codes
 * of the refusals, and the deployments in the end.
 */
async function askWhileComing(words: readonly string[], model: string) {
  const [url, deployed, stop] = [Promise.withResolvers<string>(), Promise.withResolvers<void>(), new AbortController()];
  const onPrint = (text: string) => {
    const found = /http:\S+(?=\/v1)/.exec(text);
    if (found !== null) url.resolve(found[0]);
    if (text.includes(' is deployed ')) deployed.resolve();
  };
  const running = runInProcess(words, { signal: stop.signal, onPrint });
  try {
    const refusals = new Set<string>();
    const api = await url.promise;
    for (;;) {
      const body = JSON.stringify({ model, prompt: 'once', max_tokens: 2 });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${api}/v1/completions`, { method: 'POST', headers, body });
      if (response.ok) break;
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      refusals.add(refusalSchema.parse(await response.json()).error.code);
    }
    await deployed.promise;
    // As `skein run` does, which adds none where one serves.
    const asked = { method: 'POST', body: JSON.stringify({ model, unlessServed: true }) };
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    expect((await fetch(`${api}/skein/v1/deployments`, { ...asked, headers })).status).toBe(201);
    const response = await fetch(`${api}/skein/v1/status`);
    return { refusals: [...refusals], deployments: statusSchema.parse(await response.json()).deployments };
  } finally {
    stop.abort();
    await running;
  }
}

test('deploys its model once, whoever asks for it meanwhile, and says so while it gets the model', async () => {
  await using root = await temporaryData();
  const path = join(root.path, 'small.gguf');
  await writeTinyModel('llama', path);
  const machine = ['--data', join(root.path, 'data'), '--port', '0', '--no-mdns', '--backend', 'cpu', ...here];
  // The flags say how it serves, whichever request comes first.
  const words = ['up', ...machine, '--model', path, '--ctx', '64'];
  const once = [{ name: 'small', contextTokens: 64 }];
  const atFirst = await askWhileComing(words, 'small');
  expect(atFirst).toMatchObject({ refusals: ['no_peers'], deployments: once });
  // Now it holds the model already: the request waits.
  const later = await askWhileComing(words, 'SMALL');
  expect(later).toMatchObject({ refusals: [], deployments: once });
  for (const { deployments } of [atFirst, later]) expect(deployments).toHaveLength(1);
}, 60_000);

/** Runs a command until it is interrupted; resolves with what it had printed once it has printed a text. */
function running(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const stop = new AbortController();
  const printed: string[] = [];
  const waits: { readonly text: string; readonly found: () => void }[] = [];
  const onPrint = (text: string) => {
    printed.push(text);
    for (const wait of waits) if (printed.join('').includes(wait.text)) wait.found();
  };
  const outcome = runInProcess(words, { signal: stop.signal, environment, onPrint, onWarning: onPrint });
  return {
    outcome,
    until: async (text: string): Promise<string> => {
      const { promise, resolve: found } = Promise.withResolvers<void>();
      waits.push({ text, found });
      if (printed.join('').includes(text)) found();
      await Promise.race([promise, outcome]);
      return printed.join('');
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await outcome;
    },
  };
}

test('waits for the machines that its deployment needs, and says so', async () => {
  await using root = await temporaryData();
  const path = join(root.path, 'small.gguf');
  await writeTinyModel('llama', path);
  const [first, second] = [join(root.path, 'first'), join(root.path, 'second')];
  const machine = ['--no-mdns', '--backend', 'cpu', ...here];
  await using up = running(['up', '--data', first, '--port', '0', ...machine, '--model', path, '--stages', '2']);
  expect(await up.until('stays up')).toMatch(/^warning: .*2 .*; Skein stays up, and tries again/m);
  const { stdout: invite } = await runInProcess(['invite', '--data', first]);
  await using joined = running(['join', invite.trim(), '--data', second, ...machine]);
  await joined.until('Joined');
  const printed = await up.until(' is deployed ');
  expect(printed).toMatch(/small is deployed .*\n.* on .*\n.* on /);
  expect(printed.match(/stays up/g)).toHaveLength(1);
}, 60_000);

test('stays up when its model can not be had, and gets it later', async () => {
  await using root = await temporaryData();
  const path = join(root.path, 'small.gguf');
  await writeTinyModel('llama', path);
  await using server = await startFileServer({ content: await readFile(path), status: 404 });
  const machine = ['--data', join(root.path, 'data'), '--port', '0', '--no-mdns', '--backend', 'cpu', ...here];
  const words = ['up', ...machine, '--model', 'hf:owner/repository/small.gguf'];
  await using up = running(words, { HF_ENDPOINT: server.endpoint });
  expect(await up.until('stays up')).toMatch(/^warning: .* no such file; .*; Skein stays up/m);
  delete server.behaviour.status;
  expect(await up.until(' is deployed ')).toContain('small is deployed');
}, 90_000);
