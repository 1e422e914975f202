import { createMesh } from '../create-mesh.ts';
import { createIdentity } from '../identity/identity.ts';
import { MeshSecret } from '../identity/mesh-secret.ts';
import type { Mesh } from '../mesh.ts';
import type { MeshOptions } from '../options.ts';

/** Real members over TCP on the loopback interface, which share a secret and are all stopped together. */
export class Cluster implements AsyncDisposable {
  readonly secret = MeshSecret.generate();
  readonly #members: Mesh[] = [];

  /** Adds and starts a member; it knows the members given in `knows`. */
  async add(knows: readonly Mesh[] = [], options: Partial<MeshOptions> = {}): Promise<Mesh> {
    const mesh = await createMesh({
      secret: this.secret,
      roles: ['peer'],
      mdns: false,
      name: `member ${this.#members.length}`,
      peers: knows.flatMap((member) => member.addresses()),
      ...options,
      identity: options.identity ?? (await createIdentity()),
    } as MeshOptions);
    this.#members.push(mesh);
    await mesh.start();
    return mesh;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(async (member) => await member.stop()));
  }
}

/** Resolves when `mesh` sees cards for which `condition` holds. Fails after ten seconds. */
export async function untilCards(
  mesh: Mesh,
  condition: (cards: ReturnType<Mesh['cards']['snapshot']>) => boolean,
): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  for await (const cards of mesh.cards.watch({ signal })) if (condition(cards)) return;
  throw new Error(`cards seen: ${JSON.stringify(mesh.cards.snapshot())}`);
}
