import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { replaceSecretFile, withPeerId } from '@skein/mesh';
import { limits, peerIdSchema, type Card } from '@skein/protocol';
import { z } from 'zod';

const fileName = 'members.json';
/** A mesh is an office; whoever has not been seen for this many others is not the way back into it. */
const maxMembers = 64;

const fileSchema = z.object({
  members: z.array(z.object({ peer: peerIdSchema, addresses: z.array(z.string().max(256)).max(limits.maxAddresses) })),
});
type Member = z.infer<typeof fileSchema>['members'][number];

/** Where members could be dialled when they were last there, kept in a data directory (`members.json`, mode 0600). */
export class KnownMembers {
  readonly #directory: string;
  /** Seen last, first. */
  #members: readonly Member[];

  private constructor(directory: string, members: readonly Member[]) {
    this.#directory = directory;
    this.#members = members;
  }

  /** A file that is missing or damaged holds nobody: the members are met again with an invite. */
  static async load(directory: string): Promise<KnownMembers> {
    return new KnownMembers(directory, await readMembers(join(directory, fileName)));
  }

  /** Peer ids, and multiaddrs that name them, of those seen last first. */
  get members(): readonly { readonly peer: string; readonly addresses: readonly string[] }[] {
    return this.#members.map(({ peer, addresses }) => ({
      peer,
      addresses: addresses.map((address) => withPeerId(address, peer)),
    }));
  }

  /** Of all of them. */
  get addresses(): readonly string[] {
    return this.members.flatMap(({ addresses }) => addresses);
  }

  /** Remembers those that are there now, beside those that were. Throws `disk-failed`. */
  async remember(cards: readonly Pick<Card, 'peer' | 'addresses'>[]): Promise<void> {
    const reachable = cards.filter(({ addresses }) => addresses.length > 0);
    const isNews = reachable.some(({ peer, addresses }) => {
      const known = this.#members.find((member) => member.peer === peer);
      return known?.addresses.join() !== addresses.join();
    });
    if (!isNews) return;
    const present = reachable.map(({ peer, addresses }) => ({ peer, addresses: [...addresses] }));
    const absent = this.#members.filter(({ peer }) => !present.some((member) => member.peer === peer));
    this.#members = [...present, ...absent].slice(0, maxMembers);
    await replaceSecretFile(join(this.#directory, fileName), Buffer.from(JSON.stringify({ members: this.#members })));
  }
}

async function readMembers(path: string): Promise<readonly Member[]> {
  try {
    return fileSchema.parse(JSON.parse(await readFile(path, 'utf8'))).members;
  } catch {
    return [];
  }
}
