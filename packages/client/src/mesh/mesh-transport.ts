import { chooseLead, generate, type Lead, type Mesh } from '@skein/mesh';
import { asSkeinError, samplingSchema, SkeinError, type ErrorCode, type GenerationRequest } from '@skein/protocol';

import type { GenerationStream } from '../generation/generation.ts';
import type { TransportRequest } from '../generation/request.ts';
import type { ServedModel, Transport } from '../transport.ts';

/** How long after the first member's card a client waits for the card of a lead. Cards of all members come together. */
const settleMs = 1500;

/** Failures of a lead that another one may not share. They are worth a second try as long as no text was seen. */
const worthAnotherLead: ReadonlySet<ErrorCode> = new Set(['peer-lost', 'stage-lost', 'overloaded', 'not-deployed']);

export type ClientMesh = Pick<Mesh, 'cards' | 'open' | 'peerId' | 'start' | 'stop'>;

/** Asks the leads themselves, over the mesh; no coordinator is on the way. Owns the mesh it is given. */
export class MeshTransport implements Transport {
  readonly #mesh: ClientMesh;

  constructor(mesh: ClientMesh) {
    this.#mesh = mesh;
  }

  /** Waits for a first member, and then a moment for one that serves a model. */
  async connect({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    await this.#mesh.start();
    await this.#waitFor(() => this.#mesh.cards.snapshot().some(({ peer }) => peer !== this.#mesh.peerId), signal);
    signal.throwIfAborted();
    const settled = AbortSignal.any([signal, AbortSignal.timeout(settleMs)]);
    await this.#waitFor(() => chooseLead(this.#mesh.cards.snapshot(), {}) !== undefined, settled);
  }

  async *generate(request: TransportRequest, { signal }: { readonly signal: AbortSignal }): GenerationStream {
    const refused = new Map<string, SkeinError>();
    for (;;) {
      const lead = this.#chooseLead(request.settings.model, refused);
      let hasText = false;
      try {
        for await (const event of generate(this.#mesh, lead.peer, generationRequest(lead, request), { signal })) {
          if (event.type === 'generation-end') {
            const { finishReason, usage, timings } = event;
            return { finishReason, usage, timings };
          }
          hasText = true;
          yield { text: event.text, tokens: event.tokens };
        }
        throw new SkeinError('peer-lost', 'the lead stopped before the end of the generation');
      } catch (error) {
        const failure = asSkeinError(error, 'peer-lost');
        if (hasText || signal.aborted || !worthAnotherLead.has(failure.code)) throw failure;
        refused.set(lead.peer, failure);
      }
    }
  }

  async models(): Promise<readonly ServedModel[]> {
    const stages = this.#mesh.cards.snapshot().flatMap((card) => card.stages);
    const names = stages.filter(({ stage, state }) => stage === 0 && state === 'ready').map(({ name }) => name);
    return [...new Set(names)].sort().map((name) => ({ name, isDeployed: true }));
  }

  async close(): Promise<void> {
    await this.#mesh.stop();
  }

  /** Throws why the last lead refused when all did, and `not-deployed` when there was none. */
  #chooseLead(model: string | undefined, refused: ReadonlyMap<string, SkeinError>): Lead {
    const cards = this.#mesh.cards.snapshot().filter(({ peer }) => !refused.has(peer));
    const lead = chooseLead(cards, { model });
    if (lead !== undefined) return lead;
    const last = [...refused.values()].at(-1);
    if (last !== undefined) throw last;
    const what = model === undefined ? 'no model' : `no model "${model.slice(0, 200)}"`;
    throw new SkeinError(
      'not-deployed',
      `${what} is deployed; on the machine that ran \`skein up\`, run \`skein deploy <model>\``,
    );
  }

  async #waitFor(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    for await (const _ of this.#mesh.cards.watch({ signal })) if (isSo()) return;
  }
}

function generationRequest(lead: Lead, { prompt, settings }: TransportRequest): Omit<GenerationRequest, 'type'> {
  const { model: _, maxTokens, stop, ...sampling } = settings;
  const drawn = samplingSchema.safeParse(sampling);
  if (!drawn.success) {
    const [issue] = drawn.error.issues;
    throw new SkeinError('invalid-request', `${issue?.path.join('.')}: ${issue?.message}`, { cause: drawn.error });
  }
  return {
    deployment: lead.stage.deployment,
    prompt,
    sampling: drawn.data,
    ...(maxTokens !== undefined && { maxTokens }),
    stop: [...(stop ?? [])],
  };
}
