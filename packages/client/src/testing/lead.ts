import { Authority, createMesh, type FrameStream } from '@skein/mesh';
import { encodeInvite, generationRequestSchema, methods, parseHeader, type GenerationRequest } from '@skein/protocol';

export interface FakeLead extends AsyncDisposable {
  /** An invite for one client. */
  readonly invite: string;
  /** Multiaddrs at which it can be dialled. */
  readonly addresses: readonly string[];
  /** Says on its card that its stage is ready. */
  readonly getReady: () => void;
}

/** A lead's answer to one request. `lost` of the stream aborts when the client goes away. */
export type Answer = (stream: FrameStream, request: GenerationRequest) => Promise<void>;

/** Starts a member on loopback that claims to lead a deployment of `model`, and gives the answer that the test wants. */
export async function startLead(options: {
  /** Left out: it serves nothing. */
  readonly model?: string;
  /** Default: one of the model's name. */
  readonly deployment?: string;
  /** Of the model. Default: one and the same for all. */
  readonly sha256?: string;
  /** Of the mesh that it belongs to. Default: one of its own. */
  readonly authority?: Authority;
  /** Answers running already: leads with fewer are asked first. Default 0. */
  readonly active?: number;
  /** Default ready. */
  readonly state?: 'loading' | 'ready';
  readonly answer?: Answer;
}): Promise<FakeLead> {
  const { model, authority = await Authority.ephemeral(), answer } = options;
  const mesh = await createMesh({ ...(await authority.enroll(['peer'])), authority, roles: ['peer'], mdns: false });
  await mesh.start();
  mesh.handle(methods.generate, async (stream) => {
    const frame = await stream.read();
    await answer?.(stream, parseHeader(generationRequestSchema, frame?.header));
  });
  const tell = (state: 'loading' | 'ready'): void => {
    if (model === undefined) return;
    const stage = {
      deployment: options.deployment ?? `deployment-of-${model}`.toLowerCase(),
      model: options.sha256 ?? 'a'.repeat(64),
      name: model,
      stage: 0,
      stages: 1,
      block: { from: 0, to: 4 },
      state,
      contextTokens: 512,
      sequences: 4,
      bytes: 0,
      active: options.active ?? 0,
      queued: 0,
    } as const;
    mesh.updateCard({ stages: [stage] });
  };
  tell(options.state ?? 'ready');
  const addresses = mesh.addresses();
  return {
    addresses,
    getReady: () => tell('ready'),
    invite: encodeInvite({
      mesh: authority.mesh,
      secret: await authority.invite({ role: 'client' }),
      peer: mesh.peerId,
      addresses: [...addresses],
    }),
    [Symbol.asyncDispose]: async () => await mesh.stop(),
  };
}
