import { join } from 'node:path';

import { readFileIfAny, replaceSecretFile, setAside, withPeerId } from '@skein/mesh';
import { checkJson, limits, peerIdSchema, type Card } from '@skein/protocol';
import { z } from 'zod';

const fileName = 'members.json';
/** Most members that are remembered. A mesh is an office: a member that was seen so long ago is not the way back into it. */
const maxMembers = 64;
/** Most bytes of the file, far more than the members take. */
const maxFileBytes = 4 * 1024 * 1024;

const fileSchema = z.object({
  members: z.array(z.object({ peer: peerIdSchema, addresses: z.array(z.string().max(256)).max(limits.maxAddresses) })),
});
type Member = z.infer<typeof fileSchema>['members'][number];

/**
 * Addresses at which members could be dialled when they were last there, kept in a data directory (`members.json`, mode
 * 0600).
 */
export class KnownMembers {
  readonly #path: string;
  /** Members, those seen last first. */
  #members: readonly Member[];
  /** Whether the file is not one of ours. It is set aside when a new one is written. */
  #isDamaged: boolean;

  private constructor(path: string, { members, isDamaged }: { members: readonly Member[]; isDamaged: boolean }) {
    this.#path = path;
    this.#members = members;
    this.#isDamaged = isDamaged;
  }

  /**
   * Reads the file. A missing file has no members, and neither does a damaged one, about which it calls `warn`, and
   * which is set aside before a new one is written.
   *
   * @throws SkeinError `disk-failed` when the file can't be read
   */
  static async load(directory: string, warn: (text: string) => void): Promise<KnownMembers> {
    const path = join(directory, fileName);
    const stored = await readFileIfAny(path, { maxBytes: maxFileBytes });
    if (stored === undefined) return new KnownMembers(path, { members: [], isDamaged: false });
    const checked = checkJson(fileSchema, stored);
    if (checked.ok) return new KnownMembers(path, { members: checked.data.members, isDamaged: false });
    warn(`${path} is damaged (${checked.problem}): no members are known from it; join with an invite if none is found`);
    return new KnownMembers(path, { members: [], isDamaged: true });
  }

  /** Peer ids with multiaddrs that name them, those seen last first. */
  get members(): readonly { readonly peer: string; readonly addresses: readonly string[] }[] {
    return this.#members.map(({ peer, addresses }) => ({
      peer,
      addresses: addresses.map((address) => withPeerId(address, peer)),
    }));
  }

  /** Addresses of all members, those seen last first. */
  get addresses(): readonly string[] {
    return this.members.flatMap(({ addresses }) => addresses);
  }

  /**
   * Remembers the members that are there now, beside the earlier ones.
   *
   * @throws SkeinError `disk-failed` when the file can't be written; the old one stays then
   */
  async remember(cards: readonly Pick<Card, 'peer' | 'addresses'>[]): Promise<void> {
    const reachable = cards.filter(({ addresses }) => addresses.length > 0);
    const isNews = reachable.some(({ peer, addresses }) => {
      const known = this.#members.find((member) => member.peer === peer);
      return known?.addresses.join() !== addresses.join();
    });
    if (!isNews) return;
    const present = reachable.map(({ peer, addresses }) => ({ peer, addresses: [...addresses] }));
    const absent = this.#members.filter(({ peer }) => !present.some((member) => member.peer === peer));
    const members = [...present, ...absent].slice(0, maxMembers);
    if (this.#isDamaged) await setAside(this.#path);
    this.#isDamaged = false;
    await replaceSecretFile(this.#path, Buffer.from(JSON.stringify({ members })));
    this.#members = members;
  }
}
