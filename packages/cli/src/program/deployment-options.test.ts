import { mkdtempDisposable, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { deploymentFlags } from '@skein/protocol';
import { Command } from 'commander';
import { expect, test } from 'vitest';

import { addDeploymentOptions, deploymentOptions, givenDeploymentFlag } from './deployment-options.ts';

function parse(...words: readonly string[]): Command {
  const command = addDeploymentOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  return command.parse(words, { from: 'user' });
}

test('reads each flag as the option that it stands for', () => {
  const line =
    '--stages 2 --layers 17,13 --ctx 8192 --parallel 8 --cache-type q8_0 --cache-type-v q4_0 --window-cache --activations f16';
  const read = deploymentOptions(parse(...line.split(' ')));
  expect(read).toMatchObject({
    stages: 2,
    layers: [17, 13],
    contextTokens: 8192,
    sequences: 8,
    cacheType: 'q8_0',
    valueCacheType: 'q4_0',
    windowedCache: true,
    activations: 'f16',
  });
});

test('reads positions, overrides and a template as they are', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-options-'));
  const template = join(directory.path, 'template.jinja');
  await writeFile(template, '{{ messages }}');
  const line =
    '--rope-scaling yarn --rope-scale 4 --rope-freq-base 1e6 --yarn-orig-ctx 32768 --yarn-ext-factor 0 --yarn-attn-factor 1.5 ' +
    '--yarn-beta-slow 1 --yarn-beta-fast 32 --override-kv a.b=int:1,c=bool:true --cpu-moe 7 --mlock --chat-template-file';
  expect(deploymentOptions(parse(...line.split(' '), template))).toMatchObject({
    ropeScaling: 'yarn',
    ropeScale: 4,
    ropeFrequencyBase: 1e6,
    yarnOriginalContext: 32_768,
    yarnExtrapolation: 0,
    yarnAttention: 1.5,
    yarnBetaSlow: 1,
    yarnBetaFast: 32,
    metadataOverrides: ['a.b=int:1', 'c=bool:true'],
    lockMemory: true,
    cpuExpertLayers: 7,
    chatTemplate: '{{ messages }}',
  });
});

test('has a flag for each option that the table names', () => {
  const { options } = parse();
  const named = Object.values(deploymentFlags).map(({ flag }) => flag);
  expect(new Set(options.map(({ flags }) => flags))).toEqual(new Set(named));
});

test('leaves to the coordinator what nobody gave', () => {
  expect(Object.values(deploymentOptions(parse())).filter((value) => value !== undefined)).toEqual([]);
  expect(givenDeploymentFlag(parse())).toBeUndefined();
  expect(givenDeploymentFlag(parse('--ctx', '512'))).toBe('--ctx');
  const labelled = deploymentOptions(parse('--label', 'zone=eu', '--label', 'class=confidential'));
  expect(labelled).toMatchObject({ labels: { zone: 'eu', class: 'confidential' } });
});

test('says what each option is when it is left out', () => {
  const help = parse().helpInformation().replaceAll(/\s+/g, ' ');
  for (const text of [
    'as few as it fits on',
    "the model's, as far as memory allows, and at least 4096",
    '4',
    'f16',
    'f32',
  ])
    expect(help).toContain(`(default: ${text})`);
});

test.each([
  [['--stages', '65'], 'from 1 to 64'],
  [['--layers', '17;13'], 'whole number'],
  [['--rope-scale', 'x'], 'a number from 0 to 1024'],
  [['--override-kv', 'a.b=2'], 'key=int:1'],
  [['--chat-template-file', '/nowhere/at.all'], 'there is none'],
  [['--layers', '17,2000'], 'layers[1]: expected a number of at most 1024'],
  [['--cache-type', 'q3_0'], 'f16, bf16, q8_0, q5_1, q4_0'],
])('refuses %j', (words, reason) => {
  expect(() => deploymentOptions(parse(...words))).toThrow(reason);
});

test('reads no template without end', async () => {
  expect(() => deploymentOptions(parse('--chat-template-file', '.'))).toThrow('must be the path of a file');
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-options-'));
  const vast = join(directory.path, 'vast.jinja');
  await writeFile(vast, '');
  await truncate(vast, 1024 ** 4);
  expect(() => deploymentOptions(parse('--chat-template-file', vast))).toThrow('no more than 768 KiB');
});
