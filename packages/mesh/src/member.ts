import {
  freshCardRequestSchema,
  isolated,
  leaveAnswerSchema,
  limits,
  machineName,
  methods,
  parseHeader,
  SkeinError,
  toLog,
  type FreshCardRequest,
  type Logger,
  type Method,
} from '@skein/protocol';

import { Gathering, type Absent } from './cards/absent.ts';
import { saysWhatItServes } from './cards/card-book.ts';
import { CardStreams } from './cards/card-streams.ts';
import { CardsView, type Cards } from './cards/cards.ts';
import { Gossip } from './cards/gossip.ts';
import { OwnCard, type CardContent } from './cards/own-card.ts';
import { isLoopbackOnly, ownAddresses, reachableAddresses, withPeerId } from './discovery/addresses.ts';
import { Dialer } from './discovery/dialer.ts';
import { chooseInterfaces, type NetworkInterfaces } from './discovery/interfaces.ts';
import { MdnsDiscovery } from './discovery/mdns.ts';
import { NetworkWatch } from './discovery/network-watch.ts';
import { serviceTag } from './discovery/service-tag.ts';
import { MemberAdmission } from './admission/member-admission.ts';
import { Connections } from './connections/connections.ts';
import { openStream } from './connections/open-stream.ts';
import { OwnCalls } from './connections/own-calls.ts';
import { RemoteLimits } from './connections/remote-limits.ts';
import { serve, type StreamHandler } from './connections/serve.ts';
import type { Identity } from './identity/identity.ts';
import { askForCredentials, authorityAmong } from './membership/ask-for-credentials.ts';
import type { Authority } from './membership/authority.ts';
import type { Credentials, Membership } from './membership/membership.ts';
import { Renewal } from './membership/renewal.ts';
import { Denials, type Denial } from './membership/denials.ts';
import { RevocationSpread } from './membership/revocation-spread.ts';
import { serveAuthority } from './membership/serve-authority.ts';
import { Liveness } from './liveness/liveness.ts';
import { choosePreset, reachedOn } from './liveness/choose-preset.ts';
import { livenessPresets, type LivenessPreset } from './liveness/presets.ts';
import type { Verdict } from './liveness/failure-detector.ts';
import type { CardChange, Mesh } from './mesh.ts';
import type { FrameStream } from './streams/frame-stream.ts';
import { TrafficCounter, type Traffic } from './streams/traffic.ts';
import { peerIdOf } from './transport/addresses.ts';
import type { Connection, Transport } from './transport/transport.ts';

export interface MemberOptions {
  /** Transport that is not started yet. The member stops it. */
  readonly transport: Transport;
  readonly identity: Identity;
  readonly membership: Membership;
  /** The authority, on the one machine that holds it. */
  readonly authority: Authority | undefined;
  /** Waits until all changes of the membership are saved. */
  readonly kept: () => Promise<void>;
  readonly listen: readonly string[];
  readonly peers: readonly string[];
  readonly mdns: boolean;
  readonly interfaces: readonly string[] | undefined;
  readonly announce: readonly string[] | undefined;
  readonly liveness: LivenessPreset | 'auto';
  readonly logger: Logger;
  readonly content: CardContent;
  readonly onDenial: (denial: Denial) => void;
}

/** The parts of a member, before it is one. */
interface MemberParts {
  readonly admission: MemberAdmission;
  readonly denials: Denials;
}

/** Pause between two checks of certificates, which end by themselves, in milliseconds. Revoked ones end at once. */
const certificateCheckMs = 10_000;

/** One member, composed of its parts. */
export class Member implements Mesh {
  readonly peerId: string;
  readonly #options: MemberOptions;
  readonly #transport: Transport;
  readonly #connections: Connections;
  readonly #dialer: Dialer;
  readonly #network = new NetworkWatch({
    onChange: () => this.#onNetwork(),
    relevant: (interfaces) => this.#usedOf(interfaces),
  });
  readonly #mdns: MdnsDiscovery | undefined;
  readonly #gossip: Gossip;
  readonly #view: CardsView;
  readonly #traffic = new TrafficCounter();
  readonly #limits = new RemoteLimits();
  readonly #ownCalls: OwnCalls;
  readonly #handlers = new Map<string, StreamHandler>();
  readonly #cardStreams: CardStreams;
  readonly #admission: MemberAdmission;
  readonly #denials: Denials;
  readonly #revocations: RevocationSpread;
  readonly #renewal: Renewal;
  #rechecking: NodeJS.Timeout | undefined;
  /** The last problem with our own certificate. */
  #problem: string | undefined;
  /** Undefined until it is started. */
  #gathering: Gathering | undefined;
  /** The adoption of the authority's own newest list. */
  #adopting: Promise<void> = Promise.resolve();
  readonly #liveness: Liveness;
  /** The choice of its times, one after the other. */
  #choosing: Promise<void> = Promise.resolve();
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  /** Makes a member. Admission is installed first, so that nothing is served to a connection before its handshake. */
  static async create(options: MemberOptions): Promise<Member> {
    const { transport, membership, logger } = options;
    const denials = new Denials(isolated(options.onDenial, toLog(logger, 'denials')));
    const onDenied = (denial: Omit<Denial, 'count'>): void => denials.add(denial);
    transport.onFlood(({ peerId: peer, host: address }) => {
      logger.debug({ peer, address }, 'too many bytes before the handshake');
      onDenied({ reason: 'overloaded', address, peer });
    });
    const admission = new MemberAdmission({ transport, membership, logger, onDenied });
    await admission.install();
    const member = new Member(options, { admission, denials });
    for (const method of Object.values(methods)) {
      if (method === methods.handshake) continue;
      const components = { transport, admission, traffic: member.#traffic, limits: member.#limits, onDenied, logger };
      await serve(components, method, () => member.#handlers.get(method.id));
    }
    return member;
  }

  private constructor(options: MemberOptions, { admission, denials }: MemberParts) {
    const { transport, identity, membership, authority, logger } = options;
    this.#options = options;
    this.#transport = transport;
    this.#admission = admission;
    this.#denials = denials;
    this.peerId = identity.peerId;
    this.#connections = new Connections(
      { transport, admission },
      {
        onUse: (connection) => this.#onUse(connection),
        onPeerLost: (peerId) => this.#onPeerLost(peerId),
      },
    );
    this.#dialer = new Dialer({
      ownPeerId: this.peerId,
      logger,
      isConnected: (peerId) => this.#connections.has(peerId),
      connect: async (addresses, signal) => (await this.#connections.dial(addresses, { signal })).remotePeerId,
    });
    this.#gossip = new Gossip({
      own: new OwnCard({ ...identity, membership }, options.content),
      membership,
      logger,
      isConnected: (peerId) => this.#connections.has(peerId),
      onChange: () => this.#onCards(),
    });
    this.#cardStreams = new CardStreams({
      gossip: this.#gossip,
      logger,
      isOurs: (peerId) => this.#hasDialled(peerId),
      open: async (peerId) => await this.open(peerId, methods.card),
    });
    this.#liveness = new Liveness({
      times: livenessPresets[options.liveness === 'auto' ? 'lan' : options.liveness],
      logger,
      isConnected: (peerId) => this.#connections.has(peerId),
      open: async (peerId) => await this.open(peerId, methods.alive),
      receivedBytes: (peerId) => transport.receivedBytes(peerId),
      onDead: (verdict) => this.#onDead(verdict),
    });
    this.#ownCalls = new OwnCalls(this.peerId, logger);
    this.#view = new CardsView(() => this.#gossip.snapshot(), logger);
    this.#mdns = options.mdns ? this.#createMdns() : undefined;
    const members = { membership, logger };
    this.#revocations = new RevocationSpread({
      ...members,
      connectedPeers: () => this.#connections.peerIds,
      open: async (peerId) => await this.open(peerId, methods.revocations),
    });
    this.#renewal = new Renewal({
      ...members,
      cards: () => this.#gossip.snapshot(),
      open: async (peerId, method) => await this.open(peerId, method),
    });
    this.handle(methods.revocations, this.#revocations.receive);
    if (authority !== undefined) this.#serveAuthority(authority);
    membership.onChange(() => this.#recheck(), logger);
    this.handle(methods.card, async (stream, { peerId }) => await this.#gossip.exchange(peerId, stream));
    this.handle(methods.alive, async (stream, { peerId }) => await this.#liveness.listen(peerId, stream));
    for (const address of options.peers) this.#dialer.learn('explicit', [address], peerIdOf(address));
  }

  get membership(): Membership {
    return this.#options.membership;
  }

  get authority(): Authority | undefined {
    return this.#options.authority;
  }

  get cards(): Cards {
    return this.#view;
  }

  absent(): Absent {
    const isGathering = this.#gathering?.isOn(performance.now(), () => this.#expected()) === true;
    return { lost: this.#gossip.lostCards, isGathering };
  }

  get hasIdentityConflict(): boolean {
    return this.#gossip.hasIdentityConflict;
  }

  async start(): Promise<void> {
    if (this.#stopped !== undefined) throw new SkeinError('not-running', 'a stopped mesh member stays stopped');
    this.#started ??= this.#start();
    await this.#started;
  }

  async stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    await this.#stopped;
  }

  addresses(): readonly string[] {
    const { announce } = this.#options;
    const addresses = (announce ?? [ownAddresses]).flatMap((address) =>
      address === ownAddresses ? this.#interfaceAddresses() : withPeerId(address, this.peerId),
    );
    return [...new Set(addresses)];
  }

  connectedPeers(): readonly string[] {
    return this.#connections.peerIds;
  }

  updateCard(change: CardChange): void {
    this.#gossip.update(change);
  }

  async sendCard(): Promise<void> {
    await this.#gossip.renew();
  }

  async freshCard(peerId: string, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await using stream = await this.open(peerId, methods.freshCard, { signal });
    await stream.write({ type: 'fresh-card-request' } satisfies FreshCardRequest, undefined, { signal });
    const frame = await stream.read({ signal });
    if (frame === undefined) throw new SkeinError('peer-lost', 'ended the stream without an answer');
    await this.#gossip.take(frame, peerId);
  }

  answerFreshCards(look: () => Promise<void>): Disposable {
    return this.handle(methods.freshCard, async (stream) => {
      parseHeader(freshCardRequestSchema, (await stream.read())?.header);
      await look();
      const { bytes, signature, certificate } = await this.#gossip.renew();
      await stream.write({ type: 'card', signature, certificate }, bytes);
    });
  }

  handle(method: Method, handler: StreamHandler): Disposable {
    const { id } = method;
    if (this.#handlers.has(id)) {
      throw new SkeinError('already-running', `${id} is answered already; dispose of the handler before`);
    }
    this.#handlers.set(id, handler);
    return {
      [Symbol.dispose]: () => {
        if (this.#handlers.get(id) === handler) this.#handlers.delete(id);
      },
    };
  }

  async open(
    peerId: string,
    method: Method,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<FrameStream> {
    if (this.#started === undefined || this.#stopped !== undefined) {
      throw new SkeinError('not-running', 'this mesh member is not running');
    }
    if (peerId === this.peerId) return this.#ownCalls.open(method, this.#handlers.get(method.id));
    return await openStream(
      {
        connections: this.#connections,
        meter: this.#traffic.meter(peerId),
        limits: this.#limits.of(peerId, method),
      },
      {
        peerId,
        name: machineName(this.cards.snapshot(), peerId),
        method,
        addresses: this.#dialer.addressesOf(peerId),
        signal: options.signal,
      },
    );
  }

  async admitClient(peer: string): Promise<Credentials> {
    const authority = this.#holderOfAuthority();
    return await askForCredentials(async (...to) => await this.open(...to), authority, {
      type: 'client-request',
      peer,
    });
  }

  async leave(): Promise<void> {
    if (this.authority !== undefined) {
      throw new SkeinError(
        'invalid-request',
        'the machine that holds the authority can not leave: nobody could join any more',
      );
    }
    await using stream = await this.open(this.#holderOfAuthority(), methods.leave);
    await stream.write({ type: 'leave-request' });
    const frame = await stream.read({ timeoutMs: methods.leave.openTimeoutMs });
    parseHeader(leaveAnswerSchema, frame?.header);
  }

  traffic(): Traffic {
    return this.#traffic.snapshot();
  }

  async #start(): Promise<void> {
    const { logger, listen } = this.#options;
    this.#warnOfMissingInterfaces();
    try {
      await this.#transport.start();
    } catch (error) {
      throw new SkeinError(
        'invalid-request',
        `can't listen on ${listen.join(', ')}; choose a free address with --listen`,
        {
          cause: error,
        },
      );
    }
    this.#gathering = new Gathering(performance.now());
    await this.authority?.holdAt(this.peerId);
    this.#announce();
    this.#followLinks();
    this.#network.start();
    this.#gossip.start();
    this.#liveness.start();
    this.#dialer.start();
    this.#mdns?.start();
    this.#rechecking = setInterval(() => this.#recheck(), certificateCheckMs);
    logger.info({ peer: this.peerId, addresses: this.addresses() }, 'mesh member started');
    const { clockGap } = this.membership;
    if (clockGap !== undefined) logger.warn({}, `${clockGap.what}; ${clockGap.fix}`);
  }

  async #stop(): Promise<void> {
    await this.#started?.catch(() => undefined);
    clearInterval(this.#rechecking);
    this.#denials.stop();
    this.#view.close();
    const stopping = new SkeinError('peer-lost', 'the mesh member is stopping');
    this.#ownCalls.stop(stopping);
    this.#cardStreams.stop();
    this.#liveness.stop();
    this.#network.stop();
    this.#dialer.stop();
    await this.#mdns?.stop();
    await this.#gossip.stop();
    // A polite close would end every open stream cleanly: half a generation would look like a whole one.
    for (const connection of this.#transport.connections()) connection.abort(stopping);
    await this.#transport.stop();
    await this.#adopting;
    await this.#options.kept();
    this.#options.logger.info({ peer: this.peerId }, 'mesh member stopped');
  }

  /**
   * Returns how many members are missing, or have not announced yet what they serve: those that a person has named, and
   * serving members that the authority knows.
   */
  #expected(): number {
    const cards = this.#gossip.snapshot();
    const present = new Set(cards.map(({ peer }) => peer));
    const silent = cards.filter((card) => card.roles.includes('peer') && !saysWhatItServes(card));
    const nowMs = Date.now();
    const missing = (this.authority?.members ?? []).filter(
      ({ peer, roles, expiresAt, ended }) =>
        ended === undefined && expiresAt > nowMs && roles.includes('peer') && !present.has(peer),
    );
    // A connection is there a moment before the card that comes on it.
    const cardless = this.#connections.peerIds.filter((peerId) => !present.has(peerId));
    return silent.length + missing.length + cardless.length + this.#dialer.unmet;
  }

  /** Warns of names that no interface has: they may be wrong, or those of a tunnel that is not up yet. */
  #warnOfMissingInterfaces(): void {
    const { logger, interfaces = [] } = this.#options;
    const there = Object.keys(this.#network.interfaces);
    const missing = interfaces.filter((name) => !there.includes(name));
    if (missing.length === 0) return;
    logger.warn({ missing, there }, 'no interface has this name now; its addresses count once it is there');
  }

  #createMdns(): MdnsDiscovery {
    const { membership, listen, interfaces, logger } = this.#options;
    return new MdnsDiscovery({
      logger,
      ownPeerId: this.peerId,
      tag: serviceTag(membership.mesh),
      addresses: () => this.#interfaceAddresses(),
      interfaces: () =>
        chooseInterfaces(this.#network.interfaces, { only: interfaces, loopbackOnly: isLoopbackOnly(listen) }),
      onFound: (peerId, addresses) => this.#dialer.learn('mdns', addresses, peerId),
    });
  }

  /** Returns the addresses at which machines on the same networks can dial this one. */
  #interfaceAddresses(): readonly string[] {
    const { interfaces: only } = this.#options;
    return reachableAddresses(this.#transport.addresses(), { interfaces: this.#network.interfaces, only });
  }

  /** Returns the interfaces by which this member looks for others, and by which they reach it. */
  #usedOf(interfaces: NetworkInterfaces): unknown {
    const { listen, interfaces: only } = this.#options;
    return [chooseInterfaces(interfaces, { only }), reachedOn({ listen, only }, interfaces)];
  }

  /** Follows the machine's networks: its card, the sockets for mDNS and the dials that have failed. */
  #onNetwork(): void {
    this.#announce();
    this.#followLinks();
    this.#mdns?.look();
    this.#dialer.retry();
  }

  /** Takes the times for the links on which this member is reached now, unless it was told which to take. */
  #followLinks(): void {
    const { liveness, listen, interfaces: only } = this.#options;
    if (liveness !== 'auto') return;
    this.#choosing = this.#choosing.then(async () => {
      this.#liveness.adopt(livenessPresets[await choosePreset({ listen, only }, this.#network.interfaces)]);
    });
  }

  /** Puts the present addresses on the card. */
  #announce(): void {
    if (this.#started === undefined || this.#stopped !== undefined) return;
    const addresses = this.addresses().slice(0, limits.maxAddresses);
    const [own] = this.#gossip.snapshot();
    if (addresses.join() === own?.addresses.join()) return;
    try {
      this.#gossip.update({ addresses });
    } catch (error) {
      // No caller is here to be told. Members that know an address of ours find us still.
      this.#options.logger.error({ error, addresses }, 'the card can not tell where this member can be dialled');
    }
  }

  #onUse(connection: Connection): void {
    const peerId = connection.remotePeerId;
    // The dialling side opens the card stream, so that there is one. Heartbeats go both ways, each on a stream of its own.
    if (this.#hasDialled(peerId)) void this.#cardStreams.keep(peerId);
    this.#liveness.connected(peerId);
    this.#revocations.greet(peerId, this.#admission.remoteOf(connection)?.revocations ?? 0);
  }

  /** Tells whether the connection to a member is one that we dialled. */
  #hasDialled(peerId: string): boolean {
    return this.#connections.get(peerId)?.direction === 'outbound';
  }

  #serveAuthority(authority: Authority): void {
    const { membership, logger } = this.#options;
    serveAuthority(authority, {
      handle: (method, handler) => this.handle(method, handler),
      onDenied: (denial) => this.#denials.add(denial),
      logger,
    });
    authority.onList((list) => {
      this.#adopting = membership.adopt(list).then(
        () => this.#revocations.tellAll(),
        (error: unknown) => logger.error({ error }, "the authority's own list was not taken"),
      );
    }, logger);
    membership.onChange(() => {
      authority.absorb(membership.revocations).catch((error: unknown) => {
        logger.error({ error }, 'the authority could not take over what its own list says');
      });
    }, logger);
  }

  #holderOfAuthority(): string {
    const authority = authorityAmong(this.#gossip.snapshot(), this.membership.revocations.holder);
    if (authority !== undefined) return authority;
    throw new SkeinError(
      'peer-lost',
      'the machine that holds the authority of this mesh is not there, or has put this one out; start it, or ask `skein doctor`',
    );
  }

  /** Checks everybody's certificates again, after the list has changed, or time has passed. */
  #recheck(): void {
    if (this.#started === undefined || this.#stopped !== undefined) return;
    this.#tellProblem();
    this.#admission.recheck();
    this.#connections.dropDuplicates();
    void this.#gossip.recheck();
    void this.#renewal.check();
  }

  /** Reports a problem with our own certificate: others take nothing from us then, so the machine's owner has to know. */
  #tellProblem(): void {
    const { problem } = this.membership;
    if (problem !== undefined && problem.fault !== this.#problem) {
      this.#options.logger.error({ fault: problem.fault }, `${problem.what}; ${problem.fix}`);
    }
    this.#problem = problem?.fault;
  }

  #onPeerLost(peerId: string): void {
    this.#liveness.lost(peerId);
    this.#limits.forget(peerId);
    this.#gossip.lost(peerId);
    this.#dialer.lost(peerId);
  }

  #onDead({ peerId, silentMs }: Verdict): void {
    const reason = `nothing came from the member for ${(silentMs / 1000).toFixed(1)} s; check its machine and its network`;
    this.#connections.abort(peerId, new SkeinError('peer-lost', reason));
  }

  #onCards(): void {
    for (const { peer, addresses } of this.#gossip.snapshot()) this.#dialer.learn('card', addresses, peer);
    this.#view.notify();
  }
}
