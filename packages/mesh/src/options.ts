import { hostname } from 'node:os';

import type { Logger, Role } from '@skein/protocol';

import type { Identity } from './identity/identity.ts';
import type { Authority } from './membership/authority.ts';
import type { Membership } from './membership/membership.ts';
import type { Denial } from './membership/denials.ts';
import type { LivenessPreset } from './liveness/presets.ts';

interface CommonOptions {
  /** Roles of this member, at least one; its certificate must give them. */
  readonly roles: readonly Role[];
  /** Name that its owner gives it. Default: the host name. */
  readonly name?: string;
  /** Name and version of the program, e.g. `skein/0.1.0`. Default `skein`. */
  readonly software?: string;
  /** Multiaddrs to listen on. Default `/ip4/127.0.0.1/tcp/0`: a free port, this machine only. */
  readonly listen?: readonly string[];
  /** Multiaddrs of members to stay connected to, with or without `/p2p/<peer id>`. Default: none. */
  readonly peers?: readonly string[];
  /**
   * Whether to look for members on the local network. Default true; on the loopback interface when nothing else is
   * listened on.
   */
  readonly mdns?: boolean;
  /** Names of the network interfaces to be found and dialled at. Default: the physical ones. */
  readonly interfaces?: readonly string[] | undefined;
  /**
   * Multiaddrs at which others can dial this member, where they are not those of its interfaces: it is behind a router,
   * in a container or in WSL. Cards and invites name these instead; `own` among them stands for the addresses of the
   * interfaces. Default: `own` alone.
   */
  readonly announce?: readonly string[] | undefined;
  /**
   * Kind of links by which this member is reached, and so how long it may be silent before it counts as dead, and the
   * others to it; of two members' times the longer holds. `auto`: as {@link choosePreset} finds, whenever the
   * networks of this machine change. Default `lan`.
   */
  readonly liveness?: LivenessPreset | 'auto';
  /**
   * Called with refusals to others: the first of a kind at once, equal ones that follow within a minute together.
   * Default: none.
   */
  readonly onDenial?: ((denial: Denial) => void) | undefined;
  /** Logger. Default: none. */
  readonly logger?: Logger;
}

/**
 * The options of a mesh member. Its identity and its membership lie in `directory`, as `skein join` or `skein up` left
 * them, or are given.
 */
export type MeshOptions = CommonOptions &
  (
    | {
        readonly directory: string;
        /** Passphrase of its keys; see `KeyOptions`. */
        readonly passphrase?: string | undefined;
        readonly identity?: never;
        readonly membership?: never;
        readonly authority?: never;
      }
    | {
        readonly identity: Identity;
        readonly membership: Membership;
        /** The authority, on the one machine that holds it. */
        readonly authority?: Authority | undefined;
        readonly directory?: never;
      }
  );

export const defaultListen: readonly string[] = ['/ip4/127.0.0.1/tcp/0'];

/** Returns the host name, as long as a card can hold. */
export function defaultName(): string {
  return hostname().slice(0, 256);
}
