import { networkInterfaces } from 'node:os';

import multicastDns from 'multicast-dns';

import { chooseInterfaces } from '../discovery/interfaces.ts';
import { isLocalNetworkDenied } from '../discovery/local-network.ts';
import { readAnswer } from '../discovery/mdns-answer.ts';
import { serviceTag } from '../discovery/service-tag.ts';
import { pause } from '../streams/wait.ts';

/** The answers on one interface. */
export interface MdnsAnswers {
  readonly interface: string;
  readonly address: string;
  /** Members that answered, this machine's own daemon included, each with the IP address of its answer. */
  readonly answers: readonly { readonly peer: string; readonly sender: string }[];
  /** Reason why nothing could be asked there. */
  readonly error?: string;
  /** Whether macOS keeps this program from the local network. */
  readonly isDenied?: boolean;
}

/** Asks for members of a mesh on each interface on which members are looked for, and waits for answers. */
export async function askMdns(
  mesh: string,
  options: {
    readonly loopbackOnly: boolean;
    /** Names of the interfaces to ask on. Default: the physical ones. */
    readonly only?: readonly string[] | undefined;
    readonly waitMs: number;
    readonly signal: AbortSignal;
  },
): Promise<readonly MdnsAnswers[]> {
  const { loopbackOnly, only, waitMs, signal } = options;
  const tag = serviceTag(mesh);
  const interfaces = chooseInterfaces(networkInterfaces(), { only, loopbackOnly }).flatMap(({ name, ipv4: address }) =>
    address === undefined ? [] : { name, address },
  );
  return await Promise.all(
    interfaces.map(async ({ name, address }) => {
      const answers = new Map<string, { peer: string; sender: string }>();
      let error: Error | undefined;
      const dns = multicastDns({ interface: address, bind: '0.0.0.0', reuseAddr: true });
      dns.on('ready', () => {
        dns.query({ questions: [{ name: tag, type: 'PTR' }] }, (reason) => (error ??= reason ?? undefined));
      });
      dns.on('error', (reason) => (error ??= reason));
      dns.on('warning', () => undefined);
      dns.on('response', (packet, { address: sender }) => {
        const answer = readAnswer(packet, { tag, sender });
        if (answer !== undefined) answers.set(`${answer.peerId} ${sender}`, { peer: answer.peerId, sender });
      });
      await pause(waitMs, signal);
      await new Promise<void>((resolve) => dns.destroy(resolve));
      const failure = error && { error: error.message, isDenied: isLocalNetworkDenied(error) };
      return { interface: name, address, answers: [...answers.values()], ...failure };
    }),
  );
}
