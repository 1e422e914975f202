import { silentLogger } from '@skein/protocol';

import { loadIdentity } from './identity/identity.ts';
import { livenessPresets } from './liveness/presets.ts';
import { Member } from './member.ts';
import type { Mesh } from './mesh.ts';
import { defaultListen, defaultName, type MeshOptions } from './options.ts';

/** Creates a member. Nothing is opened before it is started. */
export async function createMesh(options: MeshOptions): Promise<Mesh> {
  const identity = options.identity ?? (await loadIdentity(options.directory));
  return await Member.create({
    identity,
    secret: options.secret,
    listen: options.listen ?? defaultListen,
    peers: options.peers ?? [],
    mdns: options.mdns ?? true,
    interfaces: options.interfaces,
    liveness: livenessPresets[options.liveness ?? 'lan'],
    logger: options.logger ?? silentLogger,
    content: {
      roles: [...options.roles],
      name: options.name ?? defaultName(),
      software: options.software ?? 'skein',
      addresses: [],
      models: [],
      stages: [],
    },
  });
}
