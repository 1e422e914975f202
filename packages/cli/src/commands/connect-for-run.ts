import { connect, type Coordinator, type SkeinClient } from '@skein/client';
import { createIdentity, Membership } from '@skein/mesh';
import { adminRoutes, resolveModel, SkeinError, type DaemonStatus } from '@skein/protocol';
import { meshCatalog } from '@skein/serving';

import { askDaemon, askStatus, openLocalCoordinator } from '../control/control-client.ts';
import { KnownMembers } from '../data/known-members.ts';
import { deploymentsOf } from '../overview/deployments.ts';
import { printWarning, type CommandContext } from '../program/context.ts';
import type { OpenedData } from '../program/data-options.ts';
import { deployModel } from './deploy-model.ts';
import { localDaemon } from './local-daemon.ts';

interface Wanted {
  readonly model: string | undefined;
  readonly stages: number | undefined;
}

interface Connected {
  /** Client of the models; the caller closes it. */
  readonly client: SkeinClient;
  /** Model to ask; left out over the mesh when nobody named one. */
  readonly model: string | undefined;
}

/**
 * Connects to the models: through this machine's coordinator, which also deploys the wanted one; where this machine
 * only joined, as a member beside its daemon.
 *
 * @throws SkeinError `not-running` where there is no mesh
 */
export async function connectForRun(data: OpenedData, wanted: Wanted, context: CommandContext): Promise<Connected> {
  const { signal, stderr } = context;
  const status = await askStatus(data.controlPath);
  const members = await KnownMembers.load(data.directory, (text) => printWarning(stderr, text));
  // Where nothing runs, and never joined, nobody could be found.
  if (status === undefined && members.addresses.length === 0) await localDaemon(data);
  if (status?.url !== undefined) {
    const coordinator = openLocalCoordinator(data.controlPath);
    return await throughCoordinator({ ...status, url: status.url, coordinator }, wanted, context);
  }
  if (wanted.stages !== undefined) {
    throw new SkeinError(
      'not-running',
      'only a machine that coordinates can deploy; use --stages where `skein up` runs',
    );
  }
  const identity = await createIdentity();
  const admitted = await askDaemon(data.controlPath, adminRoutes.admitClient, { peer: identity.peerId });
  if (admitted !== undefined) {
    const { mesh, peers, ...credentials } = admitted;
    const access = { identity, membership: await Membership.open(mesh, credentials), peers };
    return { client: await connect({ mesh: access, signal }), model: wanted.model };
  }
  // No daemon: the members that it knew may still be there.
  const mesh = { directory: data.directory, peers: members.addresses };
  return { client: await connect({ mesh, signal }), model: wanted.model };
}

async function throughCoordinator(
  {
    url,
    coordinator,
    cards,
  }: Pick<DaemonStatus, 'cards'> & { readonly url: string; readonly coordinator: Coordinator },
  wanted: Wanted,
  context: CommandContext,
): Promise<Connected> {
  const client = await connect({ url, signal: context.signal });
  const models = await client.models({ signal: context.signal });
  const named = wanted.model ?? (models.find(({ isDeployed }) => isDeployed) ?? models[0])?.name;
  if (named === undefined) {
    throw new SkeinError('model-not-found', 'no member holds a model; get one with `skein pull smollm2-135m-instruct`');
  }
  // The coordinator judges names that no card tells of: it may have heard more since.
  const model = resolveModel(meshCatalog(cards), named)?.model ?? named;
  const ready = deploymentsOf(cards).filter((deployment) => deployment.isReady && deployment.model === model);
  const isServed = ready.some(({ stages }) => wanted.stages === undefined || stages.length === wanted.stages);
  // The coordinator would deploy by itself; asked for, it also says how far it is.
  if (!isServed) {
    const request = { model: named, stages: wanted.stages };
    await deployModel({ coordinator, request, unlessServed: true }, context);
  }
  return { client, model: named };
}
