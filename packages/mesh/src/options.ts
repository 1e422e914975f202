import { hostname } from 'node:os';

import type { Logger, Role } from '@skein/protocol';

import type { Identity } from './identity/identity.ts';
import type { MeshSecret } from './identity/mesh-secret.ts';
import type { LivenessPreset } from './liveness/presets.ts';

interface CommonOptions {
  /** What every member of this mesh knows; see `loadOrCreateMeshSecret`. */
  readonly secret: MeshSecret;
  /** What this member does, at least one. */
  readonly roles: readonly Role[];
  /** What its owner calls it. Default: the host name. */
  readonly name?: string;
  /** Name and version of the program, e.g. `skein/0.1.0`. Default `skein`. */
  readonly software?: string;
  /** Multiaddrs to listen on. Default `/ip4/127.0.0.1/tcp/0`: a free port, this machine only. */
  readonly listen?: readonly string[];
  /** Multiaddrs of members to stay connected to, with or without `/p2p/<peer id>`. Default none. */
  readonly peers?: readonly string[];
  /** Look for members on the local network. Default true; on the loopback interface when nothing else is listened on. */
  readonly mdns?: boolean;
  /** Names of the network interfaces to be found and dialled at. Default: the physical ones. */
  readonly interfaces?: readonly string[];
  /**
   * By which links this member is reached, and so how long it may be silent before it counts as dead, and the others to it;
   * of two members' wishes the longer holds. Default `lan`.
   */
  readonly liveness?: LivenessPreset;
  /** Default: none. */
  readonly logger?: Logger;
}

/** How to create a mesh member. Its identity is given, or kept in `directory`. */
export type MeshOptions = CommonOptions &
  (
    | { readonly identity: Identity; readonly directory?: never }
    | { readonly directory: string; readonly identity?: never }
  );

export const defaultListen: readonly string[] = ['/ip4/127.0.0.1/tcp/0'];

/** The host name, as long as a card can hold. */
export function defaultName(): string {
  return hostname().slice(0, 256);
}
