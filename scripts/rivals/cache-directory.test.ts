import { homedir } from 'node:os';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { cacheDirectory } from './cache-directory.ts';

it('follows XDG_CACHE_HOME where that is an absolute path', () => {
  expect(cacheDirectory({ XDG_CACHE_HOME: '/var/cache/me' })).toBe('/var/cache/me/skein');
});

it.each([{}, { XDG_CACHE_HOME: '' }, { XDG_CACHE_HOME: 'cache' }])(
  'is below the home directory for %o',
  (variables) => {
    expect(cacheDirectory(variables)).toBe(join(homedir(), '.cache', 'skein'));
  },
);
