import { testPath, type Identity, type Membership, type PathStep } from '@skein/mesh';
import { shortPeer } from '@skein/protocol';

import type { Finding } from './finding.ts';

interface KnownMember {
  readonly peer: string;
  readonly addresses: readonly string[];
}

export interface MissingMembers {
  /** Members that were there once, those seen last first. */
  readonly known: readonly KnownMember[];
  /** Peer ids of members that are there. */
  readonly present: ReadonlySet<string>;
  readonly identity: Identity;
  readonly membership: Membership;
  readonly signal: AbortSignal;
}

/** Most members that are tested: nobody reads a longer list. */
const maxMembers = 8;
const maxAddresses = 2;

/** Tests the path to each member that was there once and is not now, nor was revoked, and reports where each path ends. */
export async function waysToMissing({ known, present, ...way }: MissingMembers): Promise<readonly Finding[]> {
  const revoked = new Set(way.membership.revocations.revoked.map(({ peer }) => peer));
  const missing = known.filter(({ peer }) => !present.has(peer) && !revoked.has(peer)).slice(0, maxMembers);
  const found = await Promise.all(
    missing.map(async ({ peer, addresses }) => {
      const tries = addresses.slice(0, maxAddresses).map(async (address) => await tryWay(peer, address, way));
      const findings = await Promise.all(tries);
      return findings.find(({ level }) => level === 'problem') ?? findings[0];
    }),
  );
  return found.filter((finding) => finding !== undefined);
}

async function tryWay(
  peer: string,
  address: string,
  way: Pick<MissingMembers, 'identity' | 'membership' | 'signal'>,
): Promise<Finding> {
  let last: PathStep | undefined;
  for await (const step of testPath({ address, ...way })) last = step;
  const where = `…${shortPeer(peer)} at ${address.split('/p2p/')[0]}`;
  if (last === undefined || last.ok) {
    const fix = 'it is about to come back, or its daemon refuses this one: look at the logs of both';
    return { check: 'missing', level: 'note', what: `${where} is not in the mesh, but answers`, fix };
  }
  // A machine that is switched off is no problem; one that answers and is not let in is.
  const level = last.step === 'certificate' || last.step === 'protocol' ? 'problem' : 'note';
  return {
    check: 'missing',
    level,
    what: `${where} is not in the mesh: ${last.detail}`,
    ...(last.fix !== undefined && { fix: last.fix }),
  };
}
