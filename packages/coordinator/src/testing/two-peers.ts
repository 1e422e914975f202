import { Authority, createMesh, type Mesh } from '@skein/mesh';
import { silentLogger, type Card } from '@skein/protocol';

import { Deployments, type DeploymentsComponents, type DeploymentsOptions } from '../deployments/index.ts';
import { gibibyte, manifestOf } from './fixtures.ts';
import { ScriptedPeer } from './scripted-peer.ts';

/** The model that the first peer holds. */
export const tiny = manifestOf({ name: 'tiny', layers: 8 });

/** A coordinator's mesh with two peers over real connections, the first of which holds a model, and can hold more. */
export class TwoPeers implements AsyncDisposable {
  readonly authority: Authority;
  /** The coordinator's. */
  readonly mesh: Mesh;
  readonly peers: ScriptedPeer[] = [];
  readonly #made: Deployments[] = [];

  private constructor(authority: Authority, mesh: Mesh) {
    this.authority = authority;
    this.mesh = mesh;
  }

  static async start(): Promise<TwoPeers> {
    const authority = await Authority.ephemeral();
    const mesh = await createMesh({
      ...(await authority.enroll(['coordinator'])),
      roles: ['coordinator'],
      mdns: false,
    });
    await mesh.start();
    const world = new TwoPeers(authority, mesh);
    world.peers.push(
      await ScriptedPeer.join({ authority, knows: [mesh], holds: [tiny], freeBytes: 4 * gibibyte }),
      await ScriptedPeer.join({ authority, knows: [mesh], freeBytes: 2 * gibibyte }),
    );
    await world.untilShown((cards) => cards.filter(({ hardware }) => hardware !== undefined).length === 2);
    return world;
  }

  /** Makes deployments of this mesh, which stop with it. Their ids are `deployment-1` and so on, and it is always 1000. */
  newDeployments(options: DeploymentsOptions = {}, components: Partial<DeploymentsComponents> = {}): Deployments {
    let count = 0;
    const newId = () => `deployment-${(count += 1)}`;
    const { mesh } = this;
    const made = new Deployments({ mesh, logger: silentLogger, newId, now: () => 1000, ...components }, options);
    this.#made.push(made);
    return made;
  }

  peer(index: number): ScriptedPeer {
    const found = this.peers[index];
    if (found === undefined) throw new Error(`there is no peer ${index}`);
    return found;
  }

  /** Makes a peer drop its stages. */
  lose(index: number): void {
    for (const stage of this.peer(index).held) stage.abort();
  }

  /** Resolves when the coordinator's cards are as they should be. */
  async untilShown(isShown: (cards: readonly Card[]) => boolean): Promise<void> {
    for await (const cards of this.mesh.cards.watch()) {
      if (isShown(cards)) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#made.map(async (one) => await one.stop()));
    await Promise.all([this.mesh, ...this.peers.map(({ mesh }) => mesh)].map(async (member) => await member.stop()));
  }
}
