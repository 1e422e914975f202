import { decodeKey, type Place, type Verification } from '@skein/coordinator';
import { peerIdOf } from '@skein/mesh';

import { counted } from '../output/format.ts';

/** Most problems that are shown. The first one matters; the others show the extent. */
const shownProblems = 10;

/** Formats the verification of an audit log for people, in several lines. */
export function describeVerification(found: Verification): string {
  const { ok, problems, entries, files, from, to, checkpoints } = found;
  const size = `${counted(entries, 'entry', 'entries')} in ${counted(files, 'file', 'files')}`;
  const times = from === undefined ? [] : [`from ${from} to ${to}`];
  return [
    ok
      ? `The log is as its coordinator wrote it: ${size}.`
      : `TAMPERED OR DAMAGED: ${size} are left; what is wrong, in order:`,
    ...problems.slice(0, shownProblems).map((problem) => `  ${describePlace(problem)}: ${problem.message}`),
    ...(problems.length > shownProblems ? ['  and more behind that; --json shows a hundred'] : []),
    [...times, counted(checkpoints, 'checkpoint', 'checkpoints'), describeSigner(found)].join(', '),
    ...describeCrashes(found),
    ...describeHead(found),
  ].join('\n');
}

function describePlace({ file, line, offset }: Place): string {
  return `${file}, line ${line} (byte ${offset})`;
}

/** Returns the peer id of the coordinator whose key the log names; undefined when it names none, or a malformed one. */
export function signerOf({ key }: Verification): string | undefined {
  const publicKey = key === undefined ? undefined : decodeKey(key);
  return publicKey && peerIdOf(publicKey);
}

function describeSigner(found: Verification): string {
  const signer = signerOf(found);
  if (signer === undefined) return 'signed by nobody that is named';
  const doubt = 'which nobody has vouched for; name the coordinator with --peer';
  return `signed by ${signer}${found.isKnownKey ? '' : `, ${doubt}`}`;
}

function describeCrashes({ recoveries, torn, unsealed }: Verification): string[] {
  return [
    ...recoveries.map(
      (recovery) =>
        `went on after a crash at ${describePlace(recovery)}: ${counted(recovery.tornBytes, 'byte', 'bytes')} of no whole entry were moved away, ${counted(recovery.unsealed, 'whole entry was', 'whole entries were')} not sealed yet`,
    ),
    ...(torn === undefined
      ? []
      : [
          `ends with ${counted(torn.bytes, 'byte', 'bytes')} of no whole entry at ${describePlace(torn)}: being written now, or left by a crash`,
        ]),
    ...(unsealed === 0
      ? []
      : [`${counted(unsealed, 'entry', 'entries')} at the end not sealed yet: being written now, or left by a crash`]),
  ];
}

function describeHead({ head, ok }: Verification): string[] {
  if (head === undefined || !ok) return [];
  return [`head: entry ${head.entries}, ${head.hash}`];
}
