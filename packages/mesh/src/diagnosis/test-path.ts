import { lookup } from 'node:dns/promises';
import { connect, isIP } from 'node:net';

import { asSkeinError, handshakeWelcomeSchema, isSkeinError, methods, parseHeader, type Method } from '@skein/protocol';

import { measureLink } from '../calls/measure-link.ts';
import type { Identity } from '../identity/identity.ts';
import type { Membership } from '../membership/membership.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import { createTransport } from '../transport/create-transport.ts';
import type { Connection, Transport } from '../transport/transport.ts';

export type PathStepName = 'resolve' | 'tcp' | 'noise' | 'certificate' | 'protocol' | 'link';

/** One step on the path to another machine. */
export interface PathStep {
  readonly step: PathStepName;
  readonly ok: boolean;
  /** Finding of the step. */
  readonly detail: string;
  /** Fix for the problem, where there is one. */
  readonly fix?: string;
}

export interface TestPathOptions {
  /** A multiaddr with an IP address or a DNS name, and a TCP port. */
  readonly address: string;
  readonly identity: Identity;
  readonly membership: Membership;
  readonly signal: AbortSignal;
}

const stepTimeoutMs = 5000;

/**
 * Tests the path to another member step by step: name, TCP, Noise, both certificates, the protocol, round trip and
 * bandwidth. Ends with the first step that fails. Throws nothing but the signal's reason.
 */
export async function* testPath(options: TestPathOptions): AsyncGenerator<PathStep, void, undefined> {
  const { address, identity, signal } = options;
  const [, , name = '', , port = ''] = address.split('/');
  const found = await resolve(name);
  yield found;
  if (!found.ok) return;
  const reached = await dialTcp(name, Number(port), signal);
  yield reached;
  if (!reached.ok) return;
  const transport = await createTransport({ privateKey: identity.privateKey, listen: [] });
  await transport.start();
  try {
    const { connection, ...noise } = await dialNoise(transport, options);
    yield noise;
    if (connection === undefined) return;
    const admitted = await showCertificate(connection, options);
    yield admitted;
    if (!admitted.ok) return;
    yield* speak(connection, options);
  } finally {
    await transport.stop();
  }
}

async function resolve(name: string): Promise<PathStep> {
  if (isIP(name) !== 0) return { step: 'resolve', ok: true, detail: `${name} is an address` };
  try {
    const { address } = await lookup(name);
    return { step: 'resolve', ok: true, detail: `${name} is ${address}` };
  } catch (error) {
    const detail = `the name ${name} is not known here (${codeOf(error)})`;
    return { step: 'resolve', ok: false, detail, fix: 'use an IP address, or mend the name service of this network' };
  }
}

async function dialTcp(host: string, port: number, signal: AbortSignal): Promise<PathStep> {
  const startedAt = performance.now();
  const outcome = Promise.withResolvers<string>();
  const socket = connect({ host, port, signal: AbortSignal.any([signal, AbortSignal.timeout(stepTimeoutMs)]) });
  socket.on('connect', () => outcome.resolve('')).on('error', (error) => outcome.resolve(codeOf(error)));
  const code = await outcome.promise;
  socket.destroy();
  signal.throwIfAborted();
  if (code === '') {
    const detail = `port ${port} answers in ${(performance.now() - startedAt).toFixed(1)} ms`;
    return { step: 'tcp', ok: true, detail };
  }
  return { step: 'tcp', ok: false, ...explainTcp(code, port) };
}

function explainTcp(code: string, port: number): { readonly detail: string; readonly fix: string } {
  switch (code) {
    case 'ECONNREFUSED':
      return {
        detail: `the machine is there, and nothing listens on port ${port}`,
        fix: 'start Skein there, with --listen /ip4/0.0.0.0/tcp/7330, and check the port',
      };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return { detail: 'no way leads to that machine', fix: 'check its address, and that both are on one network' };
    default:
      return {
        detail: `port ${port} does not answer (${code})`,
        fix: `a firewall drops it, or the machine is off: open TCP port ${port} there (\`skein doctor\` there says how)`,
      };
  }
}

async function dialNoise(
  transport: Transport,
  { address, signal }: TestPathOptions,
): Promise<PathStep & { readonly connection?: Connection }> {
  try {
    const bounds = AbortSignal.any([signal, AbortSignal.timeout(stepTimeoutMs)]);
    const connection = await transport.dial([address], { signal: bounds, force: true });
    return { step: 'noise', ok: true, detail: `encrypted with ${connection.remotePeerId}`, connection };
  } catch (error) {
    signal.throwIfAborted();
    const reason = causeOf(error);
    const fix = explainNoise(reason, address);
    return { step: 'noise', ok: false, detail: `no encrypted connection (${reason.slice(0, 200)})`, fix };
  }
}

function explainNoise(reason: string, address: string): string {
  if (/dial self/i.test(reason)) return "that is this machine's own address: name another machine's";
  if (address.includes('/p2p/') && /identity|peer ?id/i.test(reason)) {
    return 'another machine has that address now: leave the /p2p/ part out, or use its new address';
  }
  return 'what listens there is not Skein, or refuses connections from here: look at its log with --log-level debug';
}

async function showCertificate(connection: Connection, { membership, signal }: TestPathOptions): Promise<PathStep> {
  const bounds = AbortSignal.any([signal, AbortSignal.timeout(stepTimeoutMs)]);
  try {
    const stream = await open(connection, methods.handshake, bounds);
    const { certificate } = membership.credentials;
    const revocations = membership.revocations.version;
    await stream.write({ type: 'handshake-hello', certificate, revocations, extra: true }, undefined, {
      signal: bounds,
    });
    const frame = await stream
      .read({ signal: bounds })
      .catch((error: unknown) => Promise.reject(membership.explainRefusal(error)));
    const theirs = parseHeader(handshakeWelcomeSchema, frame?.header);
    const { name, roles } = await membership.verify(theirs.certificate, connection.remotePeerId);
    return {
      step: 'certificate',
      ok: true,
      detail: `both are members; it is ${name || 'unnamed'}, ${roles.join(', ')}`,
    };
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = asSkeinError(error, 'peer-lost');
    const isRefusal = code === 'not-a-member';
    const detail = isRefusal ? `not let in: ${message}` : `the handshake got no answer (${message})`;
    const fix = isRefusal
      ? explainRefusal(message)
      : 'it may run another version of Skein: use the same on all machines';
    return { step: 'certificate', ok: false, detail, fix };
  }
}

/** Returns the fix for a refused certificate, by either end's reason. */
function explainRefusal(reason: string): string {
  if (/expired/.test(reason))
    return 'where one of the clocks is wrong set it; else get a new invite with `skein invite` and join again';
  if (/clock|future/.test(reason)) return 'set the clocks of both machines, best by NTP';
  if (/another mesh/.test(reason)) {
    return 'it is in another mesh: name another machine, or join that mesh with an invite of its own and another --data';
  }
  return 'join again: `skein invite` on the machine that has the authority prints what lets this one in';
}

async function* speak(connection: Connection, { signal }: TestPathOptions): AsyncGenerator<PathStep, void, undefined> {
  const onThis = {
    open: async (_: string, method: Method): Promise<FrameStream> => await open(connection, method, signal),
  };
  try {
    const { roundTripMs, bytesPerSecond } = await measureLink(onThis, '', { signal });
    yield { step: 'protocol', ok: true, detail: `speaks ${methods.measure.id}` };
    const megabits = (bytesPerSecond * 8) / 1e6;
    const speed = `${roundTripMs.toFixed(2)} ms there and back, ${megabits.toFixed(0)} Mbit/s`;
    yield { step: 'link', ok: true, detail: speed };
  } catch (error) {
    signal.throwIfAborted();
    // An answer that says "busy", or refuses the question, is the protocol spoken.
    const known = isSkeinError(error) && error.code !== 'peer-lost' && error.code !== 'internal';
    const { message } = asSkeinError(error, 'peer-lost');
    if (known) yield { step: 'protocol', ok: true, detail: `speaks Skein; it measures nothing now (${message})` };
    else {
      const fix = 'it runs another version of Skein: use the same on all machines';
      yield { step: 'protocol', ok: false, detail: `does not speak ${methods.measure.id} (${message})`, fix };
    }
  }
}

async function open(connection: Connection, method: Method, signal: AbortSignal): Promise<FrameStream> {
  const bounds = AbortSignal.any([signal, AbortSignal.timeout(stepTimeoutMs)]);
  return new FrameStream(await connection.openStream(method.id, { signal: bounds }), method);
}

/** Returns what the transport found, where its error passes that on. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && error.name !== 'AbortError' ? String(error.code) : 'no answer in 5 s';
}
