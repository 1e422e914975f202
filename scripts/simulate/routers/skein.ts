import type { Card, HeldStage, PackedPrompt } from '@skein/protocol';
import { Replicas, type Attempt } from '@skein/serving';

import { ModelQueue, type Ticket } from '../../../packages/coordinator/src/admission/model-queue.ts';
import type { EngineSpec } from '../fleet/engine.ts';
import type { TracedRequest } from '../traces/request.ts';
import type { ReplicaLoad, Router, RouterEnvironment, RouterKind } from './router.ts';

/** SHA-256 of the model that all simulated replicas serve. */
export const model = 'a'.repeat(64);
const tokenBytes = 4;
/** Bytes for the longest prompt: the router looks at how many there are, and never at what they are. */
const promptBytes = new Uint8Array(1024 * 1024 * tokenBytes);

/**
 * Skein's own router: `Replicas` as the coordinator and the SDK have it, with cards and digests as they come, behind the
 * coordinator's admission.
 */
export const skein: RouterKind = { name: 'Skein', create };

/** Requests of all conversations have one principal, as over HTTP. */
const admitted = { principal: 'everybody', priority: 'interactive', sequences: 1 } as const;

function create({ replicas, blockTokens, random, nowMs, after }: RouterEnvironment): Router {
  const prompts = new Map<PackedPrompt, readonly number[]>();
  const attempts = new Map<TracedRequest, { readonly attempt: Attempt; readonly prompt: PackedPrompt }>();
  const cards = replicas.map((spec, replica) => cardOf(replica, spec, idle));
  let notify: () => void = () => undefined;
  const router = new Replicas({
    cards: {
      snapshot: () => cards,
      onChange(listener) {
        notify = listener;
        return () => undefined;
      },
    },
    // Traces tell which blocks of a prompt are alike, and not which of them was an answer.
    digests: { blockBytes: blockTokens * tokenBytes, of: (prompt) => prompts.get(prompt) ?? [], ofAnswer: () => [] },
    random,
    now: nowMs,
  });
  const places = new ModelQueue();
  places.setReplicas(replicas.map(({ sequences }) => sequences));
  const waiting = new Map<Ticket, () => void>();
  const tickets = new Map<TracedRequest, Ticket>();
  const beginAdmitted = (): void => {
    for (const ticket of places.admit(nowMs())) {
      waiting.get(ticket)?.();
      waiting.delete(ticket);
    }
  };
  const enter = (request: TracedRequest, begin: () => void): void => {
    const ticket = places.enter({ ...admitted, promptTokens: request.tokens }, nowMs());
    if ('reason' in ticket) {
      // It comes again when it is told to.
      after(ticket.retryAfterMs, () => enter(request, begin));
      return;
    }
    tickets.set(request, ticket);
    waiting.set(ticket, begin);
    beginAdmitted();
  };
  // Simulated leads tell what they hold from the beginning.
  for (const replica of replicas.keys()) {
    router.changePrefixes(routeOf(replica), { isAnew: true, added: [], removed: [] });
  }
  return {
    admit: enter,
    choose(request) {
      const prompt = { type: 'tokens' as const, bytes: promptBytes.subarray(0, request.tokens * tokenBytes) };
      prompts.set(prompt, request.blocks);
      const chosen = router.choose({ model, prompt });
      if (chosen === undefined) throw new Error('no replica is there');
      attempts.set(request, { attempt: router.take(chosen), prompt });
      return Number(chosen.lead);
    },
    onBegin: (request) => attempts.get(request)?.attempt.observe({ type: 'generation-begin' }),
    onFirstToken(request) {
      attempts.get(request)?.attempt.observe({ type: 'text-delta' });
      const ticket = tickets.get(request);
      if (ticket === undefined) return;
      places.setRead(ticket, nowMs());
      beginAdmitted();
    },
    onEnd(request) {
      const asked = attempts.get(request);
      if (asked === undefined) return;
      asked.attempt[Symbol.dispose]();
      prompts.delete(asked.prompt);
      attempts.delete(request);
      const ticket = tickets.get(request);
      tickets.delete(request);
      if (ticket === undefined) return;
      const taken = { promptTokens: request.tokens, generatedTokens: request.outputTokens };
      places.leave(ticket, taken, nowMs());
      beginAdmitted();
    },
    onCard(replica, load) {
      const spec = replicas[replica];
      if (spec === undefined) return;
      cards[replica] = cardOf(replica, spec, load);
      notify();
    },
    onBlocks(replica, added, removed) {
      router.changePrefixes(routeOf(replica), { isAnew: false, added, removed });
    },
  };
}

/** The load of a replica with nothing to do. */
export const idle: ReplicaLoad = { active: 0, queued: 0, waitingTokens: 0, sequenceMs: undefined };

/** Returns the route of the replica at a place in the fleet. */
export function routeOf(replica: number) {
  return { deployment: `deployment-${replica}`, lead: String(replica) };
}

/** Makes the card of the replica at a place in the fleet. */
export function cardOf(replica: number, { msPerToken, sequences }: EngineSpec, load: ReplicaLoad): Card {
  const { deployment, lead } = routeOf(replica);
  const { active, queued, waitingTokens, sequenceMs } = load;
  const stage: HeldStage = {
    deployment,
    model,
    name: 'simulated',
    stage: 0,
    stages: 1,
    block: { from: 0, to: 1 },
    state: 'ready',
    contextTokens: 1_000_000,
    sequences,
    bytes: 0,
    active,
    queued,
    waitingTokens,
    ...(sequenceMs !== undefined && { sequenceMs }),
    speed: { decodeMsPerLayer: msPerToken, prefillMsPerTokenPerLayer: msPerToken, headMs: 0 },
  };
  return {
    peer: lead,
    version: 1,
    roles: ['peer'],
    name: lead,
    software: 'simulated',
    addresses: [],
    models: [],
    stages: [stage],
  };
}
