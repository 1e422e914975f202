import type { BackendReport } from '@skein/node';
import { localNetworkFix, type Advice, type MdnsAnswers } from '@skein/mesh';
import { formatBytes, type Card, type Certificate } from '@skein/protocol';

import type { MissingRequirement } from '../../bin/requirements.js';
import { counted } from '../output/format.ts';
import type { Finding } from './finding.ts';
import { isOfBridge, portOf, publishFix, reachability, type Reach } from './reachability.ts';

/** Facts about this machine and its mesh, as `skein doctor` gathers them. */
export interface Facts extends Pick<Reach, 'platform' | 'ownHosts' | 'passedOver' | 'surroundings'> {
  /** Needs of llama.cpp that this machine does not meet. */
  readonly missing: readonly MissingRequirement[];
  readonly directory: string;
  /** Problem with the certificate; undefined when it is good. */
  readonly certificateProblem: Advice | undefined;
  /** Advice where this machine's clock and the authority's differ; undefined where they agree. */
  readonly clockGap: Advice | undefined;
  readonly certificate: Certificate | undefined;
  readonly isEncrypted: boolean;
  /** State of the daemon; undefined when none runs. */
  readonly daemon:
    | {
        readonly peer: string;
        readonly hasIdentityConflict: boolean;
        readonly keepsAwake?: boolean | undefined;
        readonly cards: readonly Card[];
      }
    | undefined;
  /** Number of members that were known before. */
  readonly knownMembers: number;
  readonly mdns: readonly MdnsAnswers[];
  /** Whether it is a desktop or a laptop, which go to sleep when nobody uses them. */
  readonly isDesktop: boolean;
  /** Wireless interfaces on which it is reached. */
  readonly wireless: readonly string[];
  /** GPU backends of this machine. */
  readonly gpuBackends: readonly BackendReport[];
  readonly software: string;
  /** Time in milliseconds since 1970. */
  readonly now: number;
}

const skewMs = 60_000;
const soonMs = 14 * 86_400_000;

/** Judges the facts. A pure function, so that each verdict can be tested. */
export function findings(facts: Facts): readonly Finding[] {
  return [
    ...system(facts),
    membership(facts),
    ...clock(facts),
    keys(facts),
    daemon(facts),
    ...identityConflicts(facts),
    ...reachability({ ...facts, addresses: facts.daemon && addressesOf(facts.daemon) }),
    multicast(facts),
    ...wirelessLinks(facts),
    ...sleep(facts),
    ...members(facts),
    ...gpus(facts),
  ];
}

function system({ missing }: Facts): readonly Finding[] {
  return missing.map((requirement) => ({ check: 'system', level: 'problem', ...requirement }));
}

function membership({ certificate, certificateProblem, directory, now }: Facts): Finding {
  const check = 'membership';
  if (certificate === undefined) {
    const fix = 'run `skein up` to make a mesh here, or `skein join <invite>` to join one';
    return { check, level: 'problem', what: `${directory} belongs to no mesh`, fix };
  }
  if (certificateProblem !== undefined) {
    const { what, fix } = certificateProblem;
    return { check, level: 'problem', what, fix };
  }
  const until = new Date(certificate.expiresAt).toISOString().slice(0, 10);
  const what = `a member as ${certificate.roles.join(', ')} until ${until}`;
  if (certificate.expiresAt - now > soonMs) return { check, level: 'ok', what };
  return { check, level: 'note', what, fix: 'start the machine that has the authority, which renews it' };
}

/** Judges the clock as it was when the certificate came; {@link members} judges those of members that are there now. */
function* clock({ clockGap, certificateProblem }: Facts): Generator<Finding> {
  if (clockGap === undefined || certificateProblem !== undefined) return;
  yield { check: 'clock', level: 'note', ...clockGap };
}

function keys({ isEncrypted, directory }: Facts): Finding {
  const check = 'keys';
  if (isEncrypted) return { check, level: 'ok', what: `the keys in ${directory} are encrypted` };
  const what = `the keys in ${directory} are protected by file permissions only`;
  return { check, level: 'note', what, fix: '--passphrase-file encrypts them' };
}

function daemon({ daemon: running }: Facts): Finding {
  const check = 'daemon';
  if (running !== undefined)
    return {
      check,
      level: 'ok',
      what: `runs, and sees ${counted(running.cards.length - 1, 'other member', 'other members')}`,
    };
  return {
    check,
    level: 'problem',
    what: 'does not run',
    fix: 'start it with `skein up`, or `skein join` where it joined',
  };
}

function* identityConflicts({ daemon: running, directory, mdns, ownHosts }: Facts): Generator<Finding> {
  if (running === undefined) return;
  // Its card may be older than an address, so what counts is what the machine itself has.
  const elsewhere = mdns
    .flatMap(({ answers }) => answers)
    .find(({ peer, sender }) => peer === running.peer && !ownHosts.includes(sender));
  if (!running.hasIdentityConflict && elsewhere === undefined) return;
  const where = elsewhere === undefined ? '' : ` at ${elsewhere.sender}`;
  const what = `another daemon${where} runs with the identity of this one`;
  const fix = `${directory} was copied to it, or from it: stop one of them, delete its copy, and join anew there`;
  yield { check: 'identity', level: 'problem', what, fix };
}

function* wirelessLinks({ wireless }: Facts): Generator<Finding> {
  if (wireless.length === 0) return;
  const what = `${wireless.join(', ')} is wireless: others wait longer before they count this machine as lost, and answers of a split model may stall`;
  yield { check: 'wireless', level: 'note', what, fix: 'a cable is faster; with one, start with --network lan' };
}

function* sleep({ isDesktop, daemon: running }: Facts): Generator<Finding> {
  const own = running?.cards.find(({ peer }) => peer === running.peer);
  if (!isDesktop || running?.keepsAwake === true || own?.roles.includes('peer') !== true) return;
  const what = 'this machine may go to sleep while it serves, and then everything that it holds a stage of stops';
  yield { check: 'sleep', level: 'note', what, fix: '--keep-awake keeps it awake while it holds a stage' };
}

function multicast({ mdns, daemon: running, knownMembers }: Facts): Finding {
  const check = 'mdns';
  if (mdns.some(({ isDenied }) => isDenied === true)) {
    const what = 'macOS keeps this program from the local network: nobody is found, and nobody there can be dialled';
    return { check: 'local network', level: 'problem', what, fix: localNetworkFix };
  }
  const broken = mdns.find(({ error }) => error !== undefined);
  if (broken !== undefined) {
    const what = `no multicast on ${broken.interface}: ${broken.error}`;
    return { check, level: 'problem', what, fix: 'name a member with --peer <multiaddr>' };
  }
  const heard = new Set(mdns.flatMap(({ answers }) => answers.map(({ peer }) => peer)));
  const others = [...heard].filter((peer) => peer !== running?.peer);
  if (mdns.length === 0) return { check, level: 'note', what: 'not asked: there is no mesh here, or no network' };
  const where = mdns.map((answers) => `${answers.interface} (${answers.address})`).join(', ');
  if (others.length > 0)
    return {
      check,
      level: 'ok',
      what: `${counted(others.length, 'other member answers', 'other members answer')} on ${where}`,
    };
  const fix =
    'access points and switches filter multicast (look for "IGMP snooping" and "client isolation"), and firewalls UDP port 5353; --peer <multiaddr> does without';
  if (running !== undefined && !heard.has(running.peer)) {
    return { check, level: 'problem', what: `not even this machine's own daemon answers on ${where}`, fix };
  }
  const expected = knownMembers > 0 || (running?.cards.length ?? 0) > 1;
  return { check, level: expected ? 'note' : 'ok', what: `nobody else answers on ${where}`, ...(expected && { fix }) };
}

function* members({ daemon: running, software, now, knownMembers }: Facts): Generator<Finding> {
  if (running === undefined) return;
  const others = running.cards.filter(({ peer }) => peer !== running.peer);
  if (others.length === 0 && knownMembers > 0) {
    const what = `none of ${knownMembers} members that were known before is there`;
    const fix = 'are they on? `skein doctor --peer <multiaddr>` tests the way to one of them';
    yield { check: 'members', level: 'problem', what, fix };
  }
  for (const { name, addresses, version, software: theirs } of others) {
    // A card's version is its member's clock, when it was sent; it is sent every two seconds.
    const aheadMs = version - now;
    if (Math.abs(aheadMs) > skewMs) {
      const what = `the clock of ${name} is ${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this one`;
      yield { check: 'clock', level: 'problem', what, fix: 'set both by NTP: certificates depend on it' };
    }
    if (addresses.length > 0 && addresses.every(isOfBridge)) {
      const what = `${name} says that it can be dialled at ${addresses.join(', ')}: addresses inside its machine, of a container`;
      yield { check: 'members', level: 'problem', what, fix: `on ${name}, ${publishFix(portOf(addresses[0]))}` };
    }
    if (theirs !== software) {
      const what = `${name} runs ${theirs}, this machine ${software}`;
      yield { check: 'version', level: 'note', what, fix: 'use the same version on all machines' };
    }
  }
}

function addressesOf({ peer, cards }: NonNullable<Facts['daemon']>): readonly string[] {
  return cards.find((card) => card.peer === peer)?.addresses ?? [];
}

/** Share of a GPU's memory that other programs may hold before that is worth a word. */
const muchOfGpu = 0.5;

/** Judges the GPUs: those that can't be used though they seem to be there, and those that other programs fill. */
function* gpus({ gpuBackends, daemon: running }: Facts): Generator<Finding> {
  const check = 'gpu';
  for (const { backend, problem } of gpuBackends) {
    if (problem?.isAmiss !== true) continue;
    yield { check, level: 'problem', what: `${backend} has no GPU: ${problem.reason}`, fix: problem.fix };
  }
  const own = running?.cards.find(({ peer }) => peer === running.peer);
  const placed = own?.stages.flatMap(({ placement }) => placement?.devices ?? []) ?? [];
  const separate = own?.hardware?.gpus.filter(({ sharesMainMemory }) => sharesMainMemory !== true) ?? [];
  for (const { name, memoryBytes, freeMemoryBytes } of separate) {
    // Of GPUs with the same name each has its share: cards do not tell them apart.
    const alike = separate.filter((gpu) => gpu.name === name).length;
    const ownBytes = placed.filter((device) => device.name === name).reduce((sum, { bytes }) => sum + bytes, 0) / alike;
    const otherBytes = memoryBytes - freeMemoryBytes - ownBytes;
    if (otherBytes < memoryBytes * muchOfGpu) continue;
    const what = `other programs hold ${formatBytes(otherBytes)} of the ${formatBytes(memoryBytes)} of ${name}`;
    const fix = 'close them, or leave this GPU out with --gpus; a GPU that is full has no room for stages';
    yield { check, level: 'note', what, fix };
  }
}
