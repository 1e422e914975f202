import { createMesh } from '../create-mesh.ts';
import { createIdentity } from '../identity/identity.ts';
import { Authority } from '../membership/authority.ts';
import type { Mesh } from '../mesh.ts';
import type { MeshOptions } from '../options.ts';

/** Real members of one mesh over TCP on the loopback interface, all stopped together. */
export class Cluster implements AsyncDisposable {
  readonly #members: Mesh[] = [];
  #authority: Promise<Authority> | undefined;

  /** @param authority authority of this mesh; default: one that is made when it is first asked for */
  constructor(authority?: Authority) {
    this.#authority = authority === undefined ? undefined : Promise.resolve(authority);
  }

  /** Returns the authority over this mesh's members. */
  async authority(): Promise<Authority> {
    this.#authority ??= Authority.ephemeral();
    return await this.#authority;
  }

  /** Adds and starts a member, in any role unless `roles` name some; it knows the addresses of the members in `knows`. */
  async add(knows: readonly Mesh[] = [], options: Partial<MeshOptions> = {}): Promise<Mesh> {
    const identity = options.identity ?? (await createIdentity());
    const roles = options.roles ?? options.membership?.certificate.roles ?? ['peer', 'coordinator'];
    const authority = await this.authority();
    const mesh = await createMesh({
      membership: await authority.admit(identity.peerId, { roles }),
      roles,
      mdns: false,
      name: `member ${this.#members.length}`,
      peers: knows.flatMap((member) => member.addresses()),
      ...options,
      identity,
    } as MeshOptions);
    this.#members.push(mesh);
    await mesh.start();
    return mesh;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(async (member) => await member.stop()));
  }
}

/** Waits until `mesh` sees cards for which `condition` holds. Fails after ten seconds. */
export async function untilCards(
  mesh: Mesh,
  condition: (cards: ReturnType<Mesh['cards']['snapshot']>) => boolean,
): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  for await (const cards of mesh.cards.watch({ signal })) if (condition(cards)) return;
  throw new Error(`cards seen: ${JSON.stringify(mesh.cards.snapshot())}`);
}
