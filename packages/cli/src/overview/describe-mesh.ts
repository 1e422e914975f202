import {
  describeScaling,
  formatBytes,
  machineName,
  shortPeer,
  type AdmissionStatus,
  type Card,
  type DaemonStatus,
} from '@skein/protocol';

import { counted, formatLabels, formatLayers, formatTable, printable } from '../output/format.ts';
import { describePlacement } from './computing.ts';
import { deploymentsOf, type DeploymentView } from './deployments.ts';
import { placerOf } from './placer.ts';

/** Formats the mesh for people: members, deployments, traffic. */
export function describeMesh({
  cards,
  peer,
  url,
  traffic,
  admission = [],
  waiting = [],
  scaling = [],
}: DaemonStatus): string {
  const own = cards.find((card) => card.peer === peer);
  const { sentBytes, receivedBytes } = traffic.total;
  const deployments = deploymentsOf(cards);
  const placer = placerOf(cards);
  return [
    `${own?.name ?? 'this machine'} (…${shortPeer(peer)}) in a mesh of ${cards.length}${url === undefined ? '' : `, API at ${url}/v1`}`,
    `${formatBytes(sentBytes)} sent to other members, ${formatBytes(receivedBytes)} received, all encrypted`,
    placer === undefined
      ? 'No coordinator places models just now.'
      : `${printable(placer.name)} (…${shortPeer(placer.peer)}) places models, epoch ${placer.epoch}`,
    '',
    formatTable([['MEMBER', 'ID', 'ROLES', 'LABELS', 'HARDWARE', 'FREE MEMORY', 'MODELS'], ...cards.map(memberRow)]),
    '',
    ...(deployments.length + waiting.length === 0
      ? ['Nothing is deployed; deploy a model with `skein deploy <model>`.']
      : deployments.map(describe)),
    ...admission.map((one) => describeAdmission(one, deployments)),
    ...waiting.map(describeWaiting),
    ...scaling.map(({ name, ...terms }) => `${printable(name)}: ${describeScaling(terms)}`),
    ...takenOut(cards, deployments),
  ].join('\n');
}

/** Formats the requests for one model that this machine coordinates. */
function describeAdmission(
  { model, admitted, waiting, bound, refused }: AdmissionStatus,
  deployments: readonly DeploymentView[],
): string {
  const name = deployments.find((one) => one.model === model)?.name ?? model;
  return `Asked of this machine for ${printable(name)}: ${counted(admitted, 'request', 'requests')} running, ${waiting} waiting (${bound} may), ${refused} refused`;
}

function memberRow({ name, peer, roles, labels = {}, hardware, models, draining = false }: Card): readonly string[] {
  const machine = hardware && `${hardware.cpu}, ${counted(hardware.cores, 'core', 'cores')}, ${hardware.backend}`;
  const gpus = hardware?.gpus.map((gpu) => `, ${gpu.name} with ${formatBytes(gpu.freeMemoryBytes)} free`) ?? [];
  const fallback = hardware?.fallback === undefined ? '' : ` (${hardware.fallback})`;
  return [
    draining ? `${name} (drained)` : name,
    `…${shortPeer(peer)}`,
    roles.join(', '),
    formatLabels(labels) || '-',
    machine === undefined ? '-' : `${machine}${gpus.join('')}${fallback}`,
    hardware === undefined ? '-' : formatBytes(hardware.freeMemoryBytes),
    models.length === 0 ? '-' : models.map((model) => `${model.name} (${formatBytes(model.bytes)})`).join(', '),
  ];
}

function describe({ name, id, stages, contextTokens, ...view }: DeploymentView): string {
  const rows = stages.map(({ on, peer, layers: [from, to], state, placement }) => [
    `  ${formatLayers({ from, to })}`,
    `${on} (…${shortPeer(peer)})`,
    state,
    placement === undefined ? '' : describePlacement(placement),
  ]);
  const { active, sequences, queued } = view;
  return [
    `${printable(name)}, deployment ${id}: ${stateOf(view)}`,
    `  ${active} of ${sequences} answers running, ${counted(queued, 'request', 'requests')} waiting, ${contextTokens} tokens of context`,
    ...speedOf(view),
    formatTable(rows),
  ].join('\n');
}

function speedOf({
  tokensPerSecond,
  predictedTokensPerSecond,
}: Pick<DeploymentView, 'tokensPerSecond' | 'predictedTokensPerSecond'>): readonly string[] {
  if (tokensPerSecond === undefined) return [];
  const predicted =
    predictedTokensPerSecond === undefined ? '' : `, where ${predictedTokensPerSecond.toFixed(1)} were predicted`;
  return [`  ${tokensPerSecond.toFixed(1)} tokens/s for an answer that runs alone${predicted}`];
}

function describeWaiting({ id, name, reason }: NonNullable<DaemonStatus['waiting']>[number]): string {
  return `${printable(name)}, deployment ${id}: waiting, and deployed when it can be\n  ${printable(reason)}`;
}

/** Tells of machines whose replica was wrong and is gone, until they serve its model again. */
function takenOut(cards: readonly Card[], deployments: readonly DeploymentView[]): readonly string[] {
  const doubts = cards.filter(({ roles }) => roles.includes('coordinator')).flatMap((card) => card.doubts ?? []);
  return doubts.flatMap(({ deployment, taken }) => {
    if (taken === undefined || deployments.some(({ id }) => id === deployment)) return [];
    const machines = taken.peers.map((peer) => printable(machineName(cards, peer))).join(', ');
    const name = printable(taken.name);
    return `${machines}: gave other answers with ${name} than replicas like it, and was taken out; pull ${name} again there, and deploy it`;
  });
}

function stateOf({
  isReady,
  isStandby,
  isDraining,
  doubt,
}: Pick<DeploymentView, 'isReady' | 'isStandby' | 'isDraining' | 'doubt'>): string {
  if (doubt === 'out' && !isDraining) {
    return 'out: it gives other answers than replicas like it, and gets no requests; undeploy it, and pull its model again';
  }
  if (isDraining) return 'draining: it takes no more requests, and is taken down when its answers have ended';
  if (!isReady) return isStandby ? 'standby, not ready' : 'not ready';
  if (isStandby && doubt === undefined) return 'standby: it takes requests where no other replica can';
  return doubt === undefined
    ? 'ready'
    : 'ready, but it or a replica like it gives wrong answers; deploy one more to find out which';
}
