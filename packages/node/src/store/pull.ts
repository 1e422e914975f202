import { asWarning } from '@skein/mesh';
import { asSkeinError, isolated, SkeinError, type HeldModel } from '@skein/protocol';

import { parseModelReference, type createSource, type ModelReference, type ModelSource } from '../sources/index.ts';
import { fetchModel, type FetchComponents } from './fetch-model.ts';
import { planPull, type PullPlan } from './pull-plan.ts';
import type { PullProgress } from './pull-progress.ts';

export interface PullOptions {
  readonly signal?: AbortSignal | undefined;
  /** Receives progress. An error in it is shown as a warning; the pull goes on. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

export interface PullComponents extends FetchComponents {
  readonly createSource: typeof createSource;
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
  const plan = planPull(typeof reference === 'string' ? parseModelReference(reference) : reference);
  try {
    signal.throwIfAborted();
    const known = plan.pinned && (await components.held.find(plan.pinned.sha256));
    const model = known ?? (await fetchFromAny(components, plan, { ...options, signal }));
    await components.names.set(plan.remember, model.model, { signal });
    return model;
  } catch (error) {
    throw signal.aborted ? asSkeinError(signal.reason, 'aborted') : asSkeinError(error);
  }
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
    const source = components.createSource(spec);
    try {
      return await fetchModel(components, { ...plan, source, signal, onProgress });
    } catch (thrown) {
      const error = asSkeinError(thrown, 'model-unreachable');
      // Every other source would end the same way.
      if (signal.aborted || error.code === 'disk-failed') throw error;
      failures.push({ source, error });
    }
  }
  return (await findPulledBefore(components, plan, failures)) ?? fail(plan, failures);
}

/** Finds a model that was pulled by this very reference: it is as good as ever while its source cannot be reached. */
async function findPulledBefore(
  { held, names }: PullComponents,
  { remember }: PullPlan,
  failures: readonly Failure[],
): Promise<HeldModel | undefined> {
  const isOutOfReach = ({ error }: Failure) => error.code === 'model-unreachable' || error.code === 'deadline-exceeded';
  const reference = remember.find((name) => name.startsWith('hf:'));
  if (reference === undefined || !failures.every(isOutOfReach)) return undefined;
  return held.find((await names.find(reference)) ?? '');
}

function fail({ name }: PullPlan, failures: readonly Failure[]): never {
  const [first] = failures;
  if (first !== undefined && failures.length === 1) throw first.error;
  const reasons = failures.map(({ source, error }) => `${source.label}: ${error.message.slice(0, reasonCharacters)}`);
  throw new SkeinError('model-unreachable', `cannot get ${name} from any source. ${reasons.join('. ')}`, {
    cause: new AggregateError(failures.map(({ error }) => error)),
  });
}
