import { silentLogger } from '@skein/protocol';
import { expect, onTestFinished, test, vi } from 'vitest';

import { isLocalNetworkDenied } from './local-network.ts';
import { MdnsDiscovery } from './mdns.ts';

test('takes a packet that macOS lets reach no host for a missing permission, and nothing else', () => {
  const refused = (code: string): Error => Object.assign(new Error(`send ${code} 224.0.0.251:5353`), { code });
  expect(isLocalNetworkDenied(refused('EHOSTUNREACH'), 'darwin')).toBe(true);
  expect(isLocalNetworkDenied(refused('ENETUNREACH'), 'darwin')).toBe(false);
  expect(isLocalNetworkDenied(refused('EHOSTUNREACH'), 'linux')).toBe(false);
});

test('warns once when the system refuses to send what looks for members', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const lines: { readonly level: string; readonly code: unknown }[] = [];
  const note = (level: string) => (fields: object) =>
    void lines.push({ level, code: (fields as { error?: { code?: unknown } }).error?.code });
  const discovery = new MdnsDiscovery({
    logger: { ...silentLogger, warn: note('warn'), debug: note('debug') },
    ownPeerId: '12D3KooWOwn0000000000',
    // More than a packet holds, so that the system refuses each one.
    tag: 'label.'.repeat(20_000),
    addresses: () => [],
    interfaces: () => [{ name: 'lo', ipv4: '127.0.0.1', addresses: ['127.0.0.1'] }],
    onFound: () => undefined,
  });
  onTestFinished(async () => await discovery.stop());
  discovery.start();
  await vi.waitFor(() => expect(lines).toEqual([{ level: 'warn', code: 'EMSGSIZE' }]));
  vi.advanceTimersByTime(5000);
  await vi.waitFor(() => expect(lines).toContainEqual({ level: 'debug', code: 'EMSGSIZE' }));
  expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
});
