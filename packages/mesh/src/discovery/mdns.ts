import type { Logger } from '@skein/protocol';
import multicastDns, { type MulticastDNS, type ResponsePacket } from 'multicast-dns';

import { hostOf } from '../transport/addresses.ts';
import { withPeerId } from './addresses.ts';
import type { LocalInterface } from './interfaces.ts';
import { isLocalNetworkDenied, localNetworkFix } from './local-network.ts';
import { readAnswer, textPrefix } from './mdns-answer.ts';

const queryIntervalMs = 5000;
const recordSeconds = 120;
// Every member's query would make every member answer; one answer serves all who asked within this time.
const answerPauseMs = 500;

export interface MdnsComponents {
  readonly logger: Logger;
  readonly ownPeerId: string;
  /** Name of the service, see {@link serviceTag}. */
  readonly tag: string;
  /** Returns the multiaddrs at which we can be dialled. */
  readonly addresses: () => readonly string[];
  /** Returns the interfaces to use now. Called again every few seconds, since they come and go. */
  readonly interfaces: () => readonly LocalInterface[];
  readonly onFound: (peerId: string, addresses: readonly string[]) => void;
}

interface InterfaceSocket {
  readonly dns: MulticastDNS;
  readonly address: string;
  lastAnswerMs: number;
  /** Timer of an answer that waits for the pause to pass. */
  pendingAnswer: NodeJS.Timeout | undefined;
}

/**
 * The search for other members on the local network. It has one socket per interface, each announcing that interface's
 * addresses alone: a single socket would use the default route's interface, and none where there is no such route.
 */
export class MdnsDiscovery {
  readonly #components: MdnsComponents;
  readonly #sockets = new Map<string, InterfaceSocket>();
  /** Addresses whose socket failed the last time. */
  readonly #failing = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(components: MdnsComponents) {
    this.#components = components;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.look(), queryIntervalMs);
    this.look();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const closing = [...this.#sockets.keys()].map(async (address) => await this.#close(address));
    await Promise.all(closing);
  }

  /** Opens and closes sockets as the interfaces are now, and asks for members on each. Does nothing when stopped. */
  look(): void {
    if (this.#timer === undefined) return;
    const addresses = this.#components.interfaces().map(({ ipv4 }) => ipv4);
    const wanted = new Set(addresses.filter((address) => address !== undefined));
    for (const address of this.#sockets.keys()) if (!wanted.has(address)) void this.#close(address);
    for (const address of wanted) {
      const socket = this.#sockets.get(address);
      if (socket === undefined) this.#open(address);
      else this.#query(socket);
    }
  }

  #open(address: string): void {
    const { logger, tag } = this.#components;
    const dns = multicastDns({ interface: address, bind: '0.0.0.0', reuseAddr: true });
    const socket: InterfaceSocket = { dns, address, lastAnswerMs: -Infinity, pendingAnswer: undefined };
    this.#sockets.set(address, socket);
    dns.on('ready', () => this.#query(socket));
    dns.on('query', (packet) => {
      if (packet.questions?.some(({ name }) => name === tag) === true) this.#answer(socket);
    });
    dns.on('response', (packet, remote) => this.#onResponse(packet, remote.address));
    // Malformed packets of others come as warnings as well.
    dns.on('warning', (error) => logger.debug({ interface: address, error }, 'mDNS warning'));
    dns.on('error', (error) => {
      this.#onFailure(address, error);
      void this.#close(address);
    });
  }

  /** Warns of an interface when it begins to fail. */
  #onFailure(address: string, error: unknown): void {
    const level = this.#failing.has(address) ? 'debug' : 'warn';
    this.#failing.add(address);
    const message = isLocalNetworkDenied(error)
      ? `macOS keeps this program from the local network; ${localNetworkFix}`
      : 'no mDNS on this interface; explicit addresses still work';
    this.#components.logger[level]({ interface: address, error }, message);
  }

  async #close(address: string): Promise<void> {
    const socket = this.#sockets.get(address);
    if (socket === undefined) return;
    this.#sockets.delete(address);
    clearTimeout(socket.pendingAnswer);
    await new Promise<void>((resolve) => {
      try {
        socket.dns.destroy(resolve);
      } catch {
        // A socket that never got bound can't be closed.
        resolve();
      }
    });
  }

  #query(socket: InterfaceSocket): void {
    socket.dns.query({ questions: [{ name: this.#components.tag, type: 'PTR' }] }, (error) => {
      // A socket that was closed meanwhile says nothing about its interface.
      if (this.#sockets.get(socket.address) !== socket) return;
      if (error) this.#onFailure(socket.address, error);
      else this.#failing.delete(socket.address);
    });
  }

  #answer(socket: InterfaceSocket): void {
    if (socket.pendingAnswer !== undefined) return;
    const waitMs = Math.max(0, socket.lastAnswerMs + answerPauseMs - performance.now());
    socket.pendingAnswer = setTimeout(() => {
      socket.pendingAnswer = undefined;
      socket.lastAnswerMs = performance.now();
      this.#respond(socket);
    }, waitMs);
  }

  #respond(socket: InterfaceSocket): void {
    const { tag, ownPeerId, addresses } = this.#components;
    const here = addresses().filter((address) => hostOf(address) === socket.address);
    if (here.length === 0) return;
    // A DNS label holds 63 bytes; the end of a peer id is what differs.
    const name = `${ownPeerId.slice(-32)}.${tag}`;
    socket.dns.respond({
      answers: [{ name: tag, type: 'PTR', class: 'IN', ttl: recordSeconds, data: name }],
      additionals: here.map((address) => ({
        name,
        type: 'TXT' as const,
        class: 'IN' as const,
        ttl: recordSeconds,
        data: `${textPrefix}${withPeerId(address, ownPeerId)}`,
      })),
    });
  }

  #onResponse(packet: ResponsePacket, sender: string): void {
    const { tag, ownPeerId, onFound } = this.#components;
    const found = readAnswer(packet, { tag, sender });
    if (found !== undefined && found.peerId !== ownPeerId) onFound(found.peerId, found.addresses);
  }
}
