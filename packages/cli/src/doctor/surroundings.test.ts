import { expect, test } from 'vitest';

import { judgeSurroundings, type Signs, type Surroundings } from './surroundings.ts';

const debian: Signs = {
  platform: 'linux',
  release: '6.1.0-32-amd64',
  wslMode: undefined,
  interfaces: ['lo', 'eth0'],
  isContainer: false,
};
const wsl = { release: '5.15.167.4-microsoft-standard-WSL2' };

test.each<[string, Partial<Signs>, Surroundings | undefined]>([
  ['a machine of its own', {}, undefined],
  ['WSL of a version that tells nothing', wsl, 'wsl-nat'],
  ['WSL behind network address translation', { ...wsl, wslMode: 'nat' }, 'wsl-nat'],
  ['WSL behind a proxy', { ...wsl, wslMode: 'virtioproxy' }, 'wsl-nat'],
  ['WSL that shares the network of Windows', { ...wsl, wslMode: 'mirrored' }, 'wsl-mirrored'],
  ['WSL that shows it by an interface', { ...wsl, interfaces: ['lo', 'eth0', 'loopback0'] }, 'wsl-mirrored'],
  ['WSL on a bridge', { ...wsl, wslMode: 'bridged' }, undefined],
  ['a container', { isContainer: true }, 'container'],
  ['a container on Docker Desktop', { ...wsl, isContainer: true }, 'container'],
  ['macOS', { platform: 'darwin', release: '24.5.0' }, undefined],
])('knows %s', (_, signs, surroundings) => {
  expect(judgeSurroundings({ ...debian, ...signs })).toBe(surroundings);
});
