import { expect, test } from 'vitest';

import { isDesktop } from './desktop.ts';

const systemd = '/run/systemd/system';
const login = '/etc/systemd/system/display-manager.service';

test.each<[string, NodeJS.Platform, string, { readonly has?: readonly string[]; readonly is: boolean }]>([
  ['a Mac', 'darwin', 'Darwin Kernel Version 24.6.0: Mon Jul 14 11:30:29 PDT 2025', { is: true }],
  ['a PC', 'win32', 'Windows 11 Pro', { is: true }],
  ['a Windows server', 'win32', 'Windows Server 2022 Datacenter', { is: false }],
  ['a Linux desktop', 'linux', '#35-Ubuntu SMP', { has: [systemd, login], is: true }],
  ['a Linux server', 'linux', '#1 SMP Debian', { has: [systemd], is: false }],
  ['a container with the files of a desktop', 'linux', '#1 SMP Debian', { has: [login], is: false }],
])('knows whether %s is a desktop', (_, platform, version, { has = [], is }) => {
  expect(isDesktop({ platform, version, exists: (path) => has.includes(path) })).toBe(is);
});
