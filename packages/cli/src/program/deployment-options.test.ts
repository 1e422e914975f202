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

test('has a flag for each option that the table names', () => {
  const { options } = parse();
  const named = Object.values(deploymentFlags).map(({ flag }) => flag);
  expect(new Set(options.map(({ flags }) => flags))).toEqual(new Set(named));
});

test('leaves to the coordinator what nobody gave', () => {
  expect(Object.values(deploymentOptions(parse())).filter((value) => value !== undefined)).toEqual([]);
  expect(givenDeploymentFlag(parse())).toBeUndefined();
  expect(givenDeploymentFlag(parse('--ctx', '512'))).toBe('--ctx');
});

test('says what each option is when it is left out', () => {
  const help = parse().helpInformation().replaceAll(/\s+/g, ' ');
  for (const text of ['as few as it fits on', '4096', '4', 'f16', 'f32']) expect(help).toContain(`(default: ${text})`);
});

test.each([
  [['--stages', '65'], 'from 1 to 64'],
  [['--layers', '17;13'], 'whole number'],
  [['--layers', '17,2000'], 'layers[1]: expected a number of at most 1024'],
  [['--cache-type', 'q3_0'], 'f16, bf16, q8_0, q5_1, q4_0'],
])('refuses %j', (words, reason) => {
  expect(() => deploymentOptions(parse(...words))).toThrow(reason);
});
