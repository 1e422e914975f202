import { formatBytes, SkeinError } from '@skein/protocol';

import type { UsablePeer } from './usable-peers.ts';

/** The facts with which planning explains its failure. */
export interface PlanFailure {
  readonly name: string;
  /** Bytes that the whole model takes on one peer. */
  readonly neededBytes: number;
  /** Usable peers, most free memory first. */
  readonly peers: readonly UsablePeer[];
  readonly contextTokens: number;
}

/** Makes the error `no-peers` for fewer usable peers than wanted stages. */
export function noPeers(name: string, wanted: number, usable: number): SkeinError {
  const message =
    usable === 0
      ? `no machine can serve ${name} now; start a peer with \`skein up\` or \`skein join\``
      : `${name} was asked for in ${wanted} stages, but only ${usable} ${usable === 1 ? 'machine' : 'machines'} can serve; join more machines or ask for fewer stages`;
  return new SkeinError('no-peers', message, { details: { wanted, usable } });
}

/** Makes the error `does-not-fit`, with the numbers and the options that would help. */
export function doesNotFit(failure: PlanFailure, options: { stages?: number; noSplitReason?: string }): SkeinError {
  const { name, neededBytes, peers, contextTokens } = failure;
  const considered = options.noSplitReason === undefined ? peers.slice(0, options.stages) : peers.slice(0, 1);
  const availableBytes = considered.reduce((sum, peer) => sum + peer.freeBytes, 0);
  const where =
    considered.length === 1
      ? `${considered[0]?.name}, the machine with the most, has ${formatBytes(availableBytes)} free`
      : `${considered.map((peer) => `${peer.name} ${formatBytes(peer.freeBytes)}`).join(', ')} are free`;
  const why = options.noSplitReason === undefined ? '' : ` It can't be split: ${options.noSplitReason}.`;
  const overhead = considered.length === 1 ? '' : ', and each stage adds its own buffers';
  return new SkeinError(
    'does-not-fit',
    `${name} with a context of ${contextTokens} tokens needs ${formatBytes(neededBytes)}${overhead}; ${where}.${why} ` +
      'Free memory, ask for fewer contextTokens, choose a smaller quantization or join another machine',
    { details: { neededBytes, availableBytes } },
  );
}

/** Makes the error `split-unsupported` for a model that can't be split. */
export function splitUnsupported(name: string, reason: string): SkeinError {
  return new SkeinError('split-unsupported', `${name} can't be split: ${reason}; deploy it without stages`);
}

/** Makes the error `invalid-request` for layers that are not the model's. */
export function wrongLayers(name: string, reason: string): SkeinError {
  return new SkeinError('invalid-request', `${name} can't be split like that: ${reason}`, {
    details: { param: 'layers' },
  });
}
