import type { Card, Certificate } from '@skein/protocol';
import { expect, test } from 'vitest';

import { missingRequirements } from '../../bin/requirements.js';
import type { Finding } from './finding.ts';
import { findings, type Facts } from './findings.ts';

const now = Date.parse('2026-11-26T00:00:00Z');
const dayMs = 86_400_000;
const own = '12D3KooWOwn0000000000';
const attic = '12D3KooWAttic00000000';
const ownAnswer = { peer: own, sender: '192.168.1.10' };

function card(peer: string, change: Partial<Card> = {}): Card {
  const address = `/ip4/192.168.1.${peer === own ? 10 : 20}/tcp/7330`;
  return {
    peer,
    version: now,
    roles: ['peer'],
    name: peer === own ? 'home' : 'attic',
    software: 'skein/1.0.0',
    addresses: [address],
    models: [],
    stages: [],
    ...change,
  };
}

const certificate: Certificate = {
  mesh: own,
  peer: own,
  roles: ['peer'],
  name: 'home',
  labels: {},
  epoch: 1,
  issuedAt: now - dayMs,
  expiresAt: now + 89 * dayMs,
};

const healthy: Facts = {
  platform: 'linux',
  surroundings: undefined,
  missing: [],
  directory: '/data',
  certificateProblem: undefined,
  clockGap: undefined,
  certificate,
  isEncrypted: true,
  daemon: { peer: own, hasIdentityConflict: false, cards: [card(own), card(attic)] },
  knownMembers: 1,
  mdns: [{ interface: 'eth0', address: '192.168.1.10', answers: [ownAnswer, { peer: attic, sender: '192.168.1.20' }] }],
  ownHosts: ['127.0.0.1', '192.168.1.10'],
  passedOver: [],
  isDesktop: false,
  wireless: [],
  gpuBackends: [],
  software: 'skein/1.0.0',
  now,
};

function find(change: Partial<Facts>, check: string): Finding | undefined {
  return findings({ ...healthy, ...change }).find((finding) => finding.check === check && finding.level !== 'ok');
}

/** A daemon that says that it can be dialled there. */
function daemonAt(...addresses: string[]): NonNullable<Facts['daemon']> {
  return { peer: own, hasIdentityConflict: false, cards: [card(own, { addresses }), card(attic)] };
}

test('finds nothing wrong where nothing is', () => {
  expect(findings(healthy).filter(({ level }) => level !== 'ok')).toEqual([]);
});

test.each<[string, Partial<Facts>]>([
  ['a port of its machine', { daemon: daemonAt('/ip4/192.168.1.30/tcp/7330'), ownHosts: ['172.17.0.2'] }],
  ["its machine's own network", {}],
])('finds nothing wrong with a system inside another that announces %s', (_, change) => {
  for (const surroundings of ['container', 'wsl-nat'] as const) {
    if (surroundings === 'wsl-nat' && change.daemon === undefined) continue;
    const found = findings({ ...healthy, ...change, surroundings });
    expect(found.filter(({ check, level }) => level !== 'ok' && /wsl|container/.test(check))).toEqual([]);
    expect(found).toContainEqual(expect.objectContaining({ check: 'address', level: 'ok' }));
  }
});

test.each([
  ['a new address that its card does not have yet', ['/ip4/192.168.1.99/tcp/7330']],
  ['an address, and a card from before it had one', ['/ip4/127.0.0.1/tcp/7330']],
])("takes no machine's own daemon for another: %s", (_, addresses) => {
  const daemon = { peer: own, hasIdentityConflict: false, cards: [card(own, { addresses }), card(attic)] };
  expect(find({ daemon }, 'identity')).toBeUndefined();
});

test.each<[string, Partial<Facts>, string, RegExp]>([
  [
    'a system without what llama.cpp needs',
    { missing: missingRequirements({ platform: 'linux', arch: 'x64', release: '5.10.0', glibc: '2.31' }) },
    'system',
    /glibc 2\.34 or newer, such as Debian 12/,
  ],
  ['no mesh', { certificate: undefined, daemon: undefined, mdns: [] }, 'membership', /skein join/],
  [
    'a revoked certificate',
    { certificateProblem: { what: 'the certificate has been revoked', fix: 'get a new invite' } },
    'membership',
    /new invite/,
  ],
  [
    'a clock that makes the certificate expired',
    { certificateProblem: { what: 'the clock of this machine is 100 days ahead', fix: 'set the clock, best by NTP' } },
    'membership',
    /NTP/,
  ],
  [
    "a clock that differed from the authority's",
    { clockGap: { what: 'the clock of this machine was 2 hours ahead', fix: 'set the one that is wrong, by NTP' } },
    'clock',
    /set the one/,
  ],
  [
    'a certificate that expires soon',
    { certificate: { ...certificate, expiresAt: now + dayMs } },
    'membership',
    /renews/,
  ],
  ['keys in the clear', { isEncrypted: false }, 'keys', /passphrase/],
  ['no daemon', { daemon: undefined }, 'daemon', /skein up/],
  [
    'a machine that others can not dial',
    {
      daemon: { peer: own, hasIdentityConflict: false, cards: [card(own, { addresses: ['/ip4/127.0.0.1/tcp/7330'] })] },
    },
    'address',
    /--listen/,
  ],
  ['WSL', { surroundings: 'wsl-nat' }, 'wsl', /mirrored/],
  [
    'WSL with a port of Windows to pass on',
    { surroundings: 'wsl-nat' },
    'wsl',
    /portproxy .*listenport=7330 .*connectaddress=192\.168\.1\.10.*--announce/,
  ],
  ['WSL with the addresses of Windows', { surroundings: 'wsl-mirrored' }, 'wsl', /HyperVRule .*7330.*5353/],
  [
    'a container that nobody reaches',
    { surroundings: 'container', ownHosts: ['172.18.0.2'], daemon: daemonAt('/ip4/172.18.0.2/tcp/7330') },
    'container',
    /-p 7330:7330.*--announce/,
  ],
  [
    'another member in a container',
    {
      daemon: {
        peer: own,
        hasIdentityConflict: false,
        cards: [card(own), card(attic, { addresses: ['/ip4/172.17.0.2/tcp/7330'] })],
      },
    },
    'members',
    /^on .*-p 7330:7330.*--announce/,
  ],
  ['addresses of containers', { passedOver: ['docker0'] }, 'interfaces', /--listen/],
  [
    'multicast that does not even come back',
    { mdns: [{ interface: 'eth0', address: '192.168.1.10', answers: [] }] },
    'mdns',
    /IGMP snooping/,
  ],
  [
    'multicast that nobody else answers',
    { mdns: [{ interface: 'eth0', address: '192.168.1.10', answers: [ownAnswer] }] },
    'mdns',
    /--peer/,
  ],
  [
    'an interface without multicast',
    { mdns: [{ interface: 'eth0', address: '192.168.1.10', answers: [], error: 'ENODEV' }] },
    'mdns',
    /--peer/,
  ],
  [
    'a program that macOS keeps from the local network',
    { mdns: [{ interface: 'en0', address: '192.168.1.10', answers: [], error: 'send EHOSTUNREACH', isDenied: true }] },
    'local network',
    /Privacy & Security, Local Network/,
  ],
  ['a laptop that falls asleep', { isDesktop: true }, 'sleep', /--keep-awake/],
  ['a machine that is reached by radio', { wireless: ['wlan0'] }, 'wireless', /cable/],
  [
    'another daemon with the same identity',
    { daemon: { peer: own, hasIdentityConflict: true, cards: [card(own)] } },
    'identity',
    /was copied/,
  ],
  [
    'an answer in its own name from elsewhere',
    {
      mdns: [
        { interface: 'eth0', address: '192.168.1.10', answers: [ownAnswer, { peer: own, sender: '192.168.1.66' }] },
      ],
    },
    'identity',
    /was copied/,
  ],
  [
    'members that are gone',
    { daemon: { peer: own, hasIdentityConflict: false, cards: [card(own)] } },
    'members',
    /doctor --peer/,
  ],
  [
    'a clock that is wrong',
    {
      daemon: { peer: own, hasIdentityConflict: false, cards: [card(own), card(attic, { version: now - 3_600_000 })] },
    },
    'clock',
    /NTP/,
  ],
  [
    'another version',
    { daemon: { peer: own, hasIdentityConflict: false, cards: [card(own), card(attic, { software: 'skein/0.9.0' })] } },
    'version',
    /same version/,
  ],
])('explains %s, and names what helps', (_name, change, check, fix) => {
  expect(find(change, check)?.fix).toMatch(fix);
});

test.each<[NodeJS.Platform, RegExp]>([
  ['linux', /ufw allow 7330\/tcp.* 5353\/udp/],
  ['darwin', /Firewall/],
  ['win32', /New-NetFirewallRule.*TCP -LocalPort 7330 .*New-NetFirewallRule.*UDP -LocalPort 5353 /],
])('names the firewall command of %s, with the port in use and that of mDNS', (platform, command) => {
  const address = findings({ ...healthy, platform }).find(({ check }) => check === 'address');
  expect(address?.fix).toMatch(command);
});

const gibibyte = 1024 ** 3;

test("knows an NVIDIA driver without CUDA's runtime, and names the fix", () => {
  const problem = {
    reason: 'its library does not load (libcudart.so.12)',
    fix: 'run `skein gpu setup`',
    isAmiss: true,
  };
  const report = { backend: 'cuda', gpus: [], usesFallback: false, problem } as const;
  expect(find({ gpuBackends: [report] }, 'gpu')).toMatchObject({ level: 'problem', fix: problem.fix });
  // A machine without an NVIDIA GPU lacks nothing.
  expect(find({ gpuBackends: [{ ...report, problem: { ...problem, isAmiss: false } }] }, 'gpu')).toBeUndefined();
});

test('knows a GPU that other programs fill, and takes no stage of ours for one', () => {
  const gpu = (free: number) => ({ name: 'RTX 3090', memoryBytes: 24 * gibibyte, freeMemoryBytes: free * gibibyte });
  const hardware = {
    platform: 'linux-x64',
    cpu: 'Ryzen',
    cores: 8,
    memoryBytes: 32 * gibibyte,
    freeMemoryBytes: 20 * gibibyte,
    backend: 'cuda',
  };
  const stage = (bytes: number): Card['stages'][number] => ({
    deployment: 'deployment-1',
    model: 'a'.repeat(64),
    name: 'tiny',
    stage: 0,
    stages: 1,
    block: { from: 0, to: 3 },
    state: 'ready',
    contextTokens: 512,
    sequences: 4,
    bytes,
    active: 0,
    queued: 0,
    placement: { backend: 'cuda', devices: [{ name: 'RTX 3090', layers: 3, bytes }], cpuLayers: 0, fallbacks: [] },
  });
  const withGpu = (free: number, stages: Card['stages'] = []) => {
    const cards = [card(own, { hardware: { ...hardware, gpus: [gpu(free)] }, stages }), card(attic)];
    return find({ daemon: { peer: own, hasIdentityConflict: false, cards } }, 'gpu');
  };
  expect(withGpu(22)).toBeUndefined();
  expect(withGpu(2)).toMatchObject({ level: 'note', what: 'other programs hold 22.0 GiB of the 24.0 GiB of RTX 3090' });
  expect(withGpu(2, [stage(20 * gibibyte)])).toBeUndefined();
});
