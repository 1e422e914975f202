import { readFile, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { describe, expect, it, test } from 'vitest';

import { missingRequirements, oldest, systemFacts } from '../bin/requirements.js';

describe('what llama.cpp needs of a system', () => {
  const linux = { platform: 'linux', arch: 'x64', release: '6.1.0' };
  const mac = { platform: 'darwin', arch: 'arm64' };
  const windows = { platform: 'win32', arch: 'x64', release: '10.0.26100' };

  it.each([
    ['Debian 11', { ...linux, glibc: '2.31' }, /glibc 2\.34 or newer, and this system has 2\.31/, /Debian 12/],
    ['Alpine', { ...linux, glibc: undefined }, /another C library \(musl\?\)/, /Debian 12/],
    ['macOS 13', { ...mac, release: '22.6.0' }, /macOS 14 or newer, and this is macOS 13/, /update macOS/],
    [
      'a bare Windows',
      { ...windows, missingLibraries: ['msvcp140.dll', 'vcruntime140_1.dll'] },
      /Visual C\+\+ 2015–2022 runtime, and this system lacks msvcp140\.dll, vcruntime140_1\.dll/,
      /winget install Microsoft\.VCRedist\.2015\+\.x64/,
    ],
  ])('is missed by %s', (_, facts, what, fix) => {
    expect(missingRequirements(facts)).toEqual([
      { what: expect.stringMatching(what) as string, fix: expect.stringMatching(fix) as string },
    ]);
  });

  it.each([
    ['RHEL 9', { ...linux, glibc: '2.34' }],
    ['Debian 12', { ...linux, glibc: '2.36' }],
    ['a system of later years', { ...linux, glibc: '3.0' }],
    ['macOS 14', { ...mac, release: '23.0.0' }],
    ['macOS 26', { ...mac, release: '25.1.0' }],
    ['Windows with the runtime', { ...windows, missingLibraries: [] }],
    ['another system', { platform: 'freebsd', arch: 'x64', release: '14.1' }],
  ])('is there on %s', (_, facts) => {
    expect(missingRequirements(facts)).toEqual([]);
  });

  it('is there on this machine, which runs these tests', () => {
    expect(missingRequirements(systemFacts())).toEqual([]);
  });
});

test.runIf(process.platform === 'linux')('the oldest glibc is that of the libraries which are installed', async () => {
  const name = `linux-${process.arch}`;
  const entry = createRequire(import.meta.url).resolve(`@node-llama-cpp/${name}`);
  const directory = join(dirname(entry), '..', 'bins', name);
  const libraries = (await readdir(directory)).filter((name) => name.endsWith('.so'));
  const contents = await Promise.all(libraries.map((name) => readFile(join(directory, name), 'latin1')));
  const versions = contents.flatMap((content) => [...content.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => minor));
  expect(oldest.glibc).toBe(`2.${Math.max(...versions.map(Number))}`);
});
