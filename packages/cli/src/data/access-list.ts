/** Holders of rights, by what SDDL calls them. */
const knownHolders: Readonly<Record<string, { readonly name: string; readonly sid: string }>> = {
  WD: { name: 'Everyone', sid: 'S-1-1-0' },
  AU: { name: 'Authenticated Users', sid: 'S-1-5-11' },
  BU: { name: 'Users', sid: 'S-1-5-32-545' },
  BG: { name: 'Guests', sid: 'S-1-5-32-546' },
  PU: { name: 'Power Users', sid: 'S-1-5-32-547' },
  IU: { name: 'Interactive', sid: 'S-1-5-4' },
  NU: { name: 'Network', sid: 'S-1-5-2' },
  AN: { name: 'Anonymous', sid: 'S-1-5-7' },
  AC: { name: 'All application packages', sid: 'S-1-15-2-1' },
};

/** The system and administrators, who can read everything anyway, and stand-ins for the owner of a file. */
const trusted: ReadonlySet<string> = new Set(['SY', 'BA', 'LA', 'CO', 'OW']);
const trustedIds: ReadonlySet<string> = new Set(['S-1-5-18', 'S-1-5-32-544', 'S-1-3-0', 'S-1-3-4']);

/** Masks of rights, by what SDDL calls them. */
const rightMasks: Readonly<Record<string, number>> = {
  GA: 0x10000000,
  GR: 0x80000000,
  GW: 0x40000000,
  GX: 0x20000000,
  FA: 0x1f01ff,
  FR: 0x120089,
  FW: 0x120116,
  FX: 0x1200a0,
  SD: 0x10000,
  RC: 0x20000,
  WD: 0x40000,
  WO: 0x80000,
  CC: 0x1,
  DC: 0x2,
  LC: 0x4,
  SW: 0x8,
  RP: 0x10,
  WP: 0x20,
  DT: 0x40,
  LO: 0x80,
  CR: 0x100,
};
/** Rights that show and change nothing: to pass through, to wait, to see attributes and the list itself. */
const harmlessMask = 0x8 | 0x20 | 0x80 | 0x20000 | 0x100000 | 0x20000000;

/** The others that an access list lets in. */
export interface Others {
  /** Whether there is a list: drives with FAT or exFAT keep none. */
  readonly hasList: boolean;
  /** Names for people. Empty when nobody else can read or change anything. */
  readonly names: readonly string[];
  /** Their security identifiers, as far as they are known. */
  readonly ids: readonly string[];
}

/**
 * Returns who else can read or change a directory of Windows, or what is made in it, by its description in SDDL, which
 * is the same in all languages. A list that is not understood lets everybody in.
 *
 * @param user security identifier of this user
 */
export function othersIn(descriptor: string, user: string): Others {
  const owner = /^O:(.+?)(?=[GDS]:|$)/.exec(descriptor)?.[1];
  const list = /D:(?<flags>[A-Z_]*)(?<entries>(?:\([^()]*\))*)(?:S:.*)?$/.exec(descriptor)?.groups;
  if (list === undefined || list['flags'] === 'NO_ACCESS_CONTROL') {
    return { hasList: false, names: ['Everyone'], ids: [] };
  }
  const entries = list['entries']?.matchAll(/\(([^()]*)\)/g) ?? [];
  const holders = [...entries].flatMap(([, entry = '']) => {
    const [type = '', , rights = '', , , holder = ''] = entry.split(';');
    const isDenial = type.endsWith('D');
    return isDenial || (maskOf(rights) & ~harmlessMask) === 0 ? [] : [holder];
  });
  // The owner can change the list.
  const others = new Set([...holders, ...(owner === undefined ? [] : [owner])].filter((holder) => !isTrusted(holder)));
  others.delete(user);
  return {
    hasList: true,
    names: [...others].map((holder) => knownHolders[holder]?.name ?? holder),
    ids: [...others].map((holder) => knownHolders[holder]?.sid ?? holder).filter((id) => id.startsWith('S-')),
  };
}

function isTrusted(holder: string): boolean {
  return trusted.has(holder) || trustedIds.has(holder);
}

/** Returns the mask of rights in SDDL: a number, or codes of two letters. An unknown one counts as every right. */
function maskOf(rights: string): number {
  const everything = 0xffffffff;
  if (/^0x[0-9a-f]{1,8}$/i.test(rights) || /^\d+$/.test(rights)) return Number(rights);
  if (!/^(?:[A-Z]{2})*$/.test(rights)) return everything;
  const codes = rights.match(/../g) ?? [];
  return codes.reduce((mask, code) => mask | (rightMasks[code] ?? everything), 0);
}

/** Returns the arguments with which `icacls` leaves a directory to this user and the system. */
export function closingArguments(user: string, { ids }: Pick<Others, 'ids'>): readonly string[] {
  const remove = ids.length === 0 ? [] : ['/remove:g', ...ids.map((id) => `"*${id}"`)];
  const whole = (id: string): string => `"*${id}:(OI)(CI)F"`;
  return ['/inheritance:r', '/grant:r', whole(user), whole('S-1-5-18'), ...remove];
}
