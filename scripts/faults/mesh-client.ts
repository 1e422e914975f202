import { askToJoin, createIdentity, createMesh, withPeerId, type Mesh } from '@skein/mesh';
import { decodeInvite, fromText, packPrompt, samplingSchema, type Resume } from '@skein/protocol';
import { generate, meshCatalog } from '@skein/serving';

import { createClient, type SkeinClient } from '../../packages/client/src/client.ts';
import { defaultDeadlines } from '../../packages/client/src/generation/deadlines.ts';
import { MeshTransport } from '../../packages/client/src/mesh/mesh-transport.ts';
import type { RunRequest } from './requests.ts';

const joinTimeoutMs = 60_000;

/** A member of the mesh that asks leads itself. */
export class MeshClient {
  readonly sdk: SkeinClient;
  readonly #mesh: Mesh;

  /** Joins with an invite. */
  static async join(text: string, name: string): Promise<MeshClient> {
    const signal = AbortSignal.timeout(joinTimeoutMs);
    const identity = await createIdentity();
    const invite = decodeInvite(text);
    const membership = await askToJoin({ identity, invite, name, signal });
    const peers = invite.addresses.map((address) => withPeerId(address, invite.peer));
    const mesh = await createMesh({ identity, membership, peers, roles: ['client'], listen: [], mdns: false, name });
    const transport = new MeshTransport(mesh);
    await transport.connect({ signal });
    return new MeshClient(mesh, createClient(transport, defaultDeadlines));
  }

  private constructor(mesh: Mesh, sdk: SkeinClient) {
    this.sdk = sdk;
    this.#mesh = mesh;
  }

  /**
   * Has a lead go on behind tokens of an answer, in one attempt. Returns the tokens that follow.
   *
   * @throws SkeinError the lead's error, or that there is none
   */
  async replay(request: RunRequest, tokens: readonly number[]): Promise<readonly number[]> {
    const promptHash = await this.#promptHash(request);
    const rest: number[] = [];
    for await (const event of this.#generate(request, { promptHash, tokens: [...tokens], emittedCharacters: 0 })) {
      if (event.type === 'text-delta') rest.push(...event.tokens);
    }
    return rest;
  }

  async #promptHash(request: RunRequest): Promise<string> {
    for await (const event of this.#generate(request)) {
      if (event.type === 'generation-begin') return event.promptHash;
    }
    throw new Error('the lead did not say that it had begun');
  }

  #generate({ model: name, question, settings }: RunRequest, resume?: Resume) {
    const { maxTokens, stop = [], jsonSchema, speculation, ...sampling } = settings;
    const { lead, deployment } = this.#replicaOf(name);
    const prompt = packPrompt({ type: 'chat', messages: [fromText({ role: 'user', content: question })] });
    return generate(this.#mesh, lead, {
      deployment,
      prompt,
      sampling: samplingSchema.parse(sampling),
      stop: [...stop],
      ...(maxTokens !== undefined && { maxTokens }),
      ...(jsonSchema !== undefined && { jsonSchema: JSON.stringify(jsonSchema) }),
      ...(speculation !== undefined && { speculation }),
      ...(resume !== undefined && { resume }),
    });
  }

  /** Returns a replica that serves a model. Throws an error when there is none. */
  #replicaOf(name: string): { readonly lead: string; readonly deployment: string } {
    const cards = this.#mesh.cards.snapshot();
    const model = meshCatalog(cards).find((one) => one.name === name)?.model;
    for (const { peer, stages } of cards) {
      const lead = stages.find((held) => held.model === model && held.stage === 0 && held.state === 'ready');
      if (lead !== undefined) return { lead: peer, deployment: lead.deployment };
    }
    throw new Error(`no replica of ${name}`);
  }
}
