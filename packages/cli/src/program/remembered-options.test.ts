import { mkdtempDisposable, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Command, Option } from 'commander';
import { expect, onTestFinished, test, vi } from 'vitest';

import { repeated, wholeNumber, wholeNumbers } from './arguments.ts';
import { RememberedOptions } from './remembered-options.ts';

const variable = 'SKEIN_TEST_BACKEND';

function command(): Command {
  return new Command('up')
    .option('--listen <multiaddr>', 'repeated', repeated)
    .option('--gpus <numbers>', 'a list', wholeNumbers)
    .option('--serve', 'a switch', true)
    .option('--no-serve', 'its opposite')
    .addOption(new Option('--threads <count>', 'a number').argParser(wholeNumber(1, 8)))
    .addOption(
      new Option('--backend <backend>', 'a choice').choices(['cpu', 'cuda', 'auto']).env(variable).default('auto'),
    )
    .option('--json', 'for one start only');
}

/** Starts with these words, and returns the values of the options and the note about those of the last start. */
async function start(directory: string, words: readonly string[]) {
  const started = command();
  started.parse([...words], { from: 'user' });
  const remembered = await RememberedOptions.recall(started, { directory, except: ['--json'] });
  await remembered.save();
  return { values: started.opts<Readonly<Record<string, unknown>>>(), note: remembered.note };
}

async function temporaryData() {
  return await mkdtempDisposable(join(tmpdir(), 'skein-settings-'));
}

test('starts as the last time, and each option that is given now replaces one', async () => {
  await using data = await temporaryData();
  const given = ['--listen', '/a', '--listen', '/b', '--gpus', '1,2', '--no-serve', '--threads', '3', '--json'];
  await start(data.path, given);
  const again = await start(data.path, []);
  const values = { listen: ['/a', '/b'], gpus: [1, 2], serve: false, threads: 3, backend: 'auto' };
  expect(again.values).toEqual(values);
  const file = join(data.path, 'settings.json');
  const recalled = '--listen /a --listen /b --gpus 1,2 --no-serve --threads 3';
  expect(again.note).toEqual([`As at the last start: ${recalled} (delete ${file} to forget)`]);
  await start(data.path, ['--serve', '--listen', '/c']);
  expect((await start(data.path, [])).values).toEqual({ ...values, listen: ['/c'], serve: true });
  await rm(file);
  expect(await start(data.path, [])).toEqual({ values: { serve: true, backend: 'auto' }, note: [] });
});

test('lets the environment say otherwise, and does not remember what it said', async () => {
  await using data = await temporaryData();
  await start(data.path, ['--backend', 'cuda']);
  vi.stubEnv(variable, 'cpu');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect((await start(data.path, ['--threads', '1'])).values).toEqual({ serve: true, threads: 1, backend: 'cpu' });
  vi.unstubAllEnvs();
  expect((await start(data.path, [])).values).toEqual({ serve: true, threads: 1, backend: 'cuda' });
});

test('keeps what it does not know, for the version that does', async () => {
  await using data = await temporaryData();
  await writeFile(join(data.path, 'settings.json'), '{"later":["x"]}');
  await start(data.path, ['--threads', '1']);
  expect(JSON.parse(await readFile(join(data.path, 'settings.json'), 'utf8'))).toEqual({ later: ['x'], threads: '1' });
});

test.each([
  ['{"threads":', /settings\.json is damaged \(it is not JSON\); mend it, or delete it/],
  ['{"threads":{"a":1}}', /settings\.json is damaged/],
  ['{"threads":"9"}', /no usable value of threads: It must be a whole number from 1 to 8\. Start with --threads/],
  ['{"backend":"abacus"}', /no usable value of backend: Allowed choices are cpu, cuda, auto\./],
  ['{"serve":"no"}', /no usable value of serve: It must be true or false\./],
  ['{"listen":true}', /no usable value of listen: It must be a text\./],
])('refuses to start with the settings %s', async (content, message) => {
  await using data = await temporaryData();
  await writeFile(join(data.path, 'settings.json'), content);
  const refused = { code: 'invalid-request', message: expect.stringMatching(message) as string };
  await expect(start(data.path, [])).rejects.toMatchObject(refused);
});
