import {
  asSkeinError,
  formatDuration,
  formatMoment,
  SkeinError,
  type Certificate,
  type RevocationList,
} from '@skein/protocol';

const authority = 'the machine that has the authority of the mesh';

/** Most by which another machine's clock may be ahead of ours, in milliseconds. */
const clockToleranceMs = 10 * 60_000;

/** Least difference of clocks that explains anything, in milliseconds. */
const leastGapMs = 60_000;

/** The reason why a certificate is not valid. */
export type Fault = 'revoked' | 'expired' | 'not-valid-yet' | 'of-an-old-epoch';

/** A problem with its fix. */
export interface Advice {
  readonly what: string;
  readonly fix: string;
}

/** A problem with this machine's own certificate, for its owner. */
export interface MembershipProblem extends Advice {
  readonly fault: Fault;
  /** Whether a clock is the cause: set right, the certificate is good, and no invite is needed. */
  readonly isOfClock: boolean;
}

interface Moment {
  /** Time in milliseconds since 1970. */
  readonly now: number;
  readonly list: RevocationList;
  /** Time of the last revocation of the certificate's owner; undefined where there was none. */
  readonly revokedAt: number | undefined;
}

/** Judges a certificate whose signature is good. Returns undefined for a good one. */
export function faultOf(certificate: Certificate, { now, list, revokedAt = -1 }: Moment): Fault | undefined {
  const { epoch, issuedAt, expiresAt } = certificate;
  if (issuedAt <= revokedAt) return 'revoked';
  if (expiresAt <= now) return 'expired';
  if (issuedAt > now + clockToleranceMs) return 'not-valid-yet';
  const holds = epoch >= list.epoch || (epoch === list.epoch - 1 && now < list.graceEndsAt);
  return holds ? undefined : 'of-an-old-epoch';
}

/**
 * Makes the error `not-a-member` for another machine's certificate, as its owner reads it. Where the judge's clock
 * matters, `details.clockMs` has its time, so that the other end can compare: see {@link comparedClocks}.
 */
export function refusal(fault: Fault, { issuedAt, expiresAt }: Certificate, now: number): SkeinError {
  const clock = `the clock of the machine that refuses it (${formatMoment(now)})`;
  switch (fault) {
    case 'revoked':
      return refused('the certificate has been revoked; get a new invite and join again');
    case 'of-an-old-epoch':
      return refused('the certificate is of an old epoch; get a new invite and join again');
    case 'expired': {
      const what = `the certificate has expired, ${formatDuration(now - expiresAt)} ago by ${clock}`;
      return refused(`${what}; if that is right, get a new invite and join again`, now);
    }
    case 'not-valid-yet': {
      const what = `the certificate is not valid yet: it begins ${formatDuration(issuedAt - now)} from now by ${clock}`;
      return refused(`${what}; set the clocks of both machines, best by NTP`, now);
    }
  }
}

/**
 * Explains a refusal to the refused machine: where the certificate is in its time by our own clock and not by the other
 * machine's, the clocks differ, and the error says by how much. Returns any other error as it is.
 */
export function comparedClocks(error: unknown, { issuedAt, expiresAt }: Certificate, now: number): SkeinError {
  const known = asSkeinError(error);
  const clockMs = known.code === 'not-a-member' ? known.details['clockMs'] : undefined;
  const isInTime = issuedAt <= now + clockToleranceMs && now < expiresAt;
  if (typeof clockMs !== 'number' || !isInTime || Math.abs(clockMs - now) < leastGapMs) return known;
  const gap = `${formatDuration(clockMs - now)} ${clockMs > now ? 'ahead of' : 'behind'}`;
  const times = `${formatMoment(clockMs)} there, ${formatMoment(now)} here`;
  const message = `the other machine's clock is ${gap} this machine's (${times}), so it takes no certificate of this one; set the clock that is wrong, best by NTP`;
  return new SkeinError('not-a-member', message, { cause: error, details: { clockMs } });
}

/**
 * Returns advice where this machine's clock and the authority's differed when the certificate came; undefined where
 * they did not by much.
 */
export function clockGap({ issuedAt }: Certificate, receivedAt: number | undefined): Advice | undefined {
  const aheadMs = (receivedAt ?? issuedAt) - issuedAt;
  if (Math.abs(aheadMs) <= clockToleranceMs) return undefined;
  const gap = `${formatDuration(aheadMs)} ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
  const what = `the clock of this machine was ${gap} that of ${authority} when its certificate came`;
  return { what, fix: 'set the one that is wrong, best by NTP: certificates depend on it' };
}

/**
 * Describes the problem with this machine's own certificate, with its fix.
 *
 * @param options.receivedAt time at which the certificate came, by this machine's clock: the authority's own said
 * `issuedAt` then
 */
export function ownProblem(
  fault: Fault,
  { issuedAt, expiresAt }: Certificate,
  { now, receivedAt }: { readonly now: number; readonly receivedAt: number | undefined },
): MembershipProblem {
  const again = 'get a new invite and join again';
  const aheadMs = receivedAt === undefined ? 0 : receivedAt - issuedAt;
  const there = now - aheadMs;
  const times = `${formatMoment(now)} here, ${formatMoment(there)} there`;
  const setClock = 'set the clock that is wrong, best by NTP, and start Skein again: no new invite is needed';
  const of = { fault, isOfClock: false, fix: again };
  switch (fault) {
    case 'revoked':
      return { ...of, what: 'the certificate of this machine has been revoked' };
    case 'of-an-old-epoch':
      return { ...of, what: 'the certificate of this machine is of an old epoch' };
    case 'expired': {
      if (aheadMs > clockToleranceMs && there < expiresAt) {
        const what = `the clock of this machine is ${formatDuration(aheadMs)} ahead of that of ${authority} (${times}), so its certificate counts as expired`;
        return { fault, what, fix: setClock, isOfClock: true };
      }
      const what = `the certificate of this machine has expired: it was good until ${formatMoment(expiresAt)}, and its clock says ${formatMoment(now)}`;
      return { ...of, what, fix: `${again}; or set the clock, if that is wrong` };
    }
    case 'not-valid-yet': {
      const gap = formatDuration(issuedAt - now);
      const what = `the certificate of this machine is not valid yet: it begins at ${formatMoment(issuedAt)} by the clock of ${authority}, and the clock of this machine says ${formatMoment(now)}, ${gap} less`;
      return { fault, what, fix: `${setClock}; if both are right by now, ${again}`, isOfClock: true };
    }
  }
}

function refused(message: string, clockMs?: number): SkeinError {
  return new SkeinError('not-a-member', message, clockMs === undefined ? {} : { details: { clockMs } });
}
