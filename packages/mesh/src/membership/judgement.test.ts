import { SkeinError, type Certificate, type RevocationList } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { clockGap, comparedClocks, faultOf, ownProblem, refusal } from './judgement.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const issuedAt = Date.UTC(2026, 0, 1);
const certificate: Certificate = {
  mesh: '12D3KooWTestMesh0001',
  peer: '12D3KooWTestPeer0001',
  roles: ['peer'],
  name: 'attic',
  labels: {},
  epoch: 1,
  issuedAt,
  expiresAt: issuedAt + 90 * dayMs,
};
const list: RevocationList = {
  mesh: certificate.mesh,
  version: 1,
  issuedAt,
  epoch: 1,
  graceEndsAt: 0,
  revoked: [],
};

describe('a certificate', () => {
  it.each([
    ['is good from ten minutes before its beginning on', issuedAt - 600_000, undefined],
    ['is not valid yet before that', issuedAt - 600_001, 'not-valid-yet'],
    ['is good until its end', issuedAt + 90 * dayMs - 1, undefined],
    ['has expired then', issuedAt + 90 * dayMs, 'expired'],
  ] as const)('%s', (_, now, fault) => {
    expect(faultOf(certificate, { now, list, revokedAt: undefined })).toBe(fault);
  });
});

describe("this machine's own certificate", () => {
  it('that was expired at its birth is a matter of the clock, and of no new invite', () => {
    const now = issuedAt + 100 * dayMs;
    const problem = ownProblem('expired', certificate, { now, receivedAt: now });
    expect(problem.isOfClock).toBe(true);
    expect(problem.what).toContain(
      'the clock of this machine is 100 days ahead of that of the machine that has the authority',
    );
    expect(problem.what).toContain('(2026-04-11 00:00 UTC here, 2026-01-01 00:00 UTC there)');
    expect(problem.fix).toMatch(/set the clock that is wrong.*no new invite is needed/);
  });

  it('that is good by the clock that gave it counts as expired for the same reason', () => {
    const receivedAt = issuedAt + 60 * dayMs;
    const problem = ownProblem('expired', certificate, { now: issuedAt + 95 * dayMs, receivedAt });
    expect(problem).toMatchObject({ isOfClock: true, what: expect.stringContaining('60 days ahead') as string });
  });

  it('that has expired by both clocks needs a new invite', () => {
    for (const receivedAt of [undefined, issuedAt, issuedAt + dayMs]) {
      const problem = ownProblem('expired', certificate, { now: issuedAt + 200 * dayMs, receivedAt });
      expect(problem).toMatchObject({ isOfClock: false, fix: expect.stringContaining('new invite') as string });
      expect(problem.what).toContain('until 2026-04-01 00:00 UTC');
    }
  });

  it('that begins later than now is a matter of the clock', () => {
    const now = issuedAt - 2 * hourMs;
    const problem = ownProblem('not-valid-yet', certificate, { now, receivedAt: now });
    expect(problem).toMatchObject({ isOfClock: true, fix: expect.stringContaining('set the clock') as string });
    expect(problem.what).toContain('2 hours less');
  });

  it.each([
    [undefined, undefined],
    [issuedAt + 600_000, undefined],
    [issuedAt + 2 * hourMs, '2 hours ahead of'],
    [issuedAt - dayMs, '1 day behind'],
  ])('that came at %s tells of clocks that differ by much', (receivedAt, gap) => {
    expect(/was (.*) that of/.exec(clockGap(certificate, receivedAt)?.what ?? '')?.[1]).toBe(gap);
  });
});

describe('a refusal', () => {
  const now = issuedAt + dayMs;

  it('of a certificate that is good here says which clock is ahead, and by how much', () => {
    const theirs = issuedAt + 92 * dayMs;
    const error = comparedClocks(refusal('expired', certificate, theirs), certificate, now);
    expect(error).toMatchObject({ code: 'not-a-member' });
    expect(error.message).toContain("the other machine's clock is 91 days ahead of this machine's");
    expect(error.message).toContain('(2026-04-03 00:00 UTC there, 2026-01-02 00:00 UTC here)');
    const early = comparedClocks(refusal('not-valid-yet', certificate, issuedAt - hourMs), certificate, now);
    expect(early.message).toContain("1 day behind this machine's");
  });

  it('stays as it is where the clocks are not the reason', () => {
    const expired = refusal('expired', certificate, issuedAt + 91 * dayMs);
    expect(comparedClocks(expired, certificate, issuedAt + 91 * dayMs)).toBe(expired);
    const revoked = refusal('revoked', certificate, now);
    expect(comparedClocks(revoked, certificate, now)).toBe(revoked);
    const other = new SkeinError('peer-lost', 'gone', { details: { clockMs: 0 } });
    expect(comparedClocks(other, certificate, now)).toBe(other);
  });

  it('with a time that no clock shows is said nevertheless', () => {
    const hostile = new SkeinError('not-a-member', 'no', { details: { clockMs: 1e300 } });
    expect(comparedClocks(hostile, certificate, now).message).toContain('1e+300 there');
  });
});
