import { asWarning } from '@skein/mesh';
import { asSkeinError, isolated, SkeinError, type HeldModel } from '@skein/protocol';

import {
  parseModelReference,
  referenceTo,
  resolveInRepository,
  type CreateSource,
  type HuggingFaceOptions,
  type ModelReference,
  type ModelSource,
} from '../sources/index.ts';
import { fetchModel, type FetchComponents } from './fetch-model.ts';
import { planPull, type PullPlan } from './pull-plan.ts';
import type { PullProgress } from './pull-progress.ts';

export interface PullOptions {
  /** Settings for sources on the network. Default: the public server, no token, no proxy. */
  readonly sources?: HuggingFaceOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Receives progress. An error in it is shown as a warning; the pull goes on. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

export interface PullComponents extends FetchComponents {
  readonly createSource: CreateSource;
}

interface Failure {
  readonly source: ModelSource;
  readonly error: SkeinError;
}

/** Longest quoted reason of one source, in characters: a message of several must stay readable. */
const reasonCharacters = 400;

/** Pulls a model from the first of its sources that delivers. See `ModelStore.pull`. */
export async function pullModel(
  components: PullComponents,
  reference: string | ModelReference,
  options: PullOptions,
): Promise<HeldModel> {
  const signal = options.signal ?? new AbortController().signal;
  const parsed = typeof reference === 'string' ? parseModelReference(reference) : reference;
  try {
    signal.throwIfAborted();
    return await pullFirst(components, parsed, { ...options, signal });
  } catch (thrown) {
    if (signal.aborted) throw asSkeinError(signal.reason, 'aborted');
    const error = asSkeinError(thrown);
    const held = await findPulledBefore(components, parsed, error);
    if (held !== undefined) return held;
    throw error;
  }
}

async function pullFirst(
  components: PullComponents,
  reference: ModelReference,
  options: PullOptions & { readonly signal: AbortSignal },
): Promise<HeldModel> {
  const plan = await planFor(reference, options);
  const known = plan.pinned && (await components.held.find(plan.pinned.sha256));
  const model = known ?? (await fetchFromAny(components, plan, options));
  await components.names.set(plan.remember, model.model, options);
  return model;
}

async function planFor(
  reference: ModelReference,
  options: PullOptions & { readonly signal: AbortSignal },
): Promise<PullPlan> {
  if (reference.kind !== 'repository') return planPull(reference);
  const file = await resolveInRepository(reference, { ...options.sources, signal: options.signal });
  const plan = planPull(file);
  // A person's next reference has the branch, not its present commit.
  const { revision } = reference;
  return { ...plan, remember: [plan.name, referenceTo(reference), referenceTo({ ...file, revision })] };
}

async function fetchFromAny(
  components: PullComponents,
  plan: PullPlan,
  options: PullOptions & { readonly signal: AbortSignal },
): Promise<HeldModel> {
  const { signal } = options;
  const onProgress = isolated(options.onProgress ?? (() => undefined), asWarning);
  const failures: Failure[] = [];
  for (const spec of plan.sources) {
    const source = components.createSource(spec, options.sources);
    try {
      return await fetchModel(components, { ...plan, source, signal, onProgress });
    } catch (thrown) {
      const error = asSkeinError(thrown, 'model-unreachable');
      // Every other source would end the same way.
      if (signal.aborted || error.code === 'disk-failed') throw error;
      failures.push({ source, error });
    }
  }
  throw failureOf(plan, failures);
}

/** Finds a model that was pulled by this very reference: it is as good as ever while its source cannot be reached. */
async function findPulledBefore(
  { held, names }: PullComponents,
  reference: ModelReference,
  { code }: SkeinError,
): Promise<HeldModel | undefined> {
  if (code !== 'model-unreachable' && code !== 'deadline-exceeded') return undefined;
  if (reference.kind !== 'repository' && reference.kind !== 'hugging-face') return undefined;
  return held.find((await names.find(referenceTo(reference))) ?? '');
}

function failureOf({ name }: PullPlan, failures: readonly Failure[]): SkeinError {
  const [first] = failures;
  if (first !== undefined && failures.length === 1) return first.error;
  const reasons = failures.map(({ source, error }) => `${source.label}: ${error.message.slice(0, reasonCharacters)}`);
  return new SkeinError('model-unreachable', `cannot get ${name} from any source. ${reasons.join('. ')}`, {
    cause: new AggregateError(failures.map(({ error }) => error)),
  });
}
