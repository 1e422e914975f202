import { describe, expect, it } from 'vitest';

import { decodeInvite, encodeInvite } from './invite.ts';

const invite = {
  mesh: '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2',
  secret: Uint8Array.from({ length: 16 }, (_, index) => 255 - index),
  peer: '12D3KooWPWaJFobn4igSwi486q7cMgyisrsHWEXwuDJZeTwoccYY',
  addresses: ['/ip4/192.0.2.7/tcp/7330'],
};

describe('an invite', () => {
  it('survives being copied as text, with white space around it', () => {
    const decoded = decodeInvite(`  ${encodeInvite(invite)}\n`);
    expect({ ...decoded, secret: Uint8Array.from(decoded.secret) }).toEqual(invite);
  });

  it.each([
    ['another text', 'hello'],
    ['nothing', ''],
    ['half an invite', encodeInvite(invite).slice(0, 60)],
    ['characters that are not base64', 'skein1-???'],
    ['a novel', `skein1-${'A'.repeat(10_000)}`],
  ])('refuses %s and says what to do', (_name, text) => {
    expect(() => decodeInvite(text)).toThrow(
      expect.objectContaining({ code: 'invalid-request', message: expect.stringContaining('skein invite') as string }),
    );
  });
});
