import { join } from 'node:path';

import { readFileIfAny, replaceSecretFile, setAside } from '@skein/mesh';
import {
  arraySchema,
  asSkeinError,
  checkJson,
  compareChanges,
  deploymentIdSchema,
  deploymentSpecSchema,
  desiredChangeSchema,
  limits,
  scalingSchema,
  SkeinError,
  type DesiredChange,
  type Logger,
} from '@skein/protocol';
import { z } from 'zod';

import type { DesiredDeployment, WantedDeployment } from './desired-state.ts';
import { lastPlacementSchema } from './last-placement.ts';
import type { ModelScaling } from './scaling.ts';

const fileName = 'deployments.json';
/** Most bytes of the file: the most deployments, some of them with a chat template of their own. */
const maxFileBytes = 32 * 1024 * 1024;
/** Most deployments of one coordinator. */
const maxDeployments = 1024;

/** Version of the file's form. A file of a later version is left alone. */
const version = 1;

const versionSchema = z.object({ version: z.number().int().positive() });
const fileSchema = z.object({
  version: z.literal(version),
  /** The change that made it, by which copies are compared. Left out by versions of before. */
  change: desiredChangeSchema.optional(),
  deployments: arraySchema(
    z.object({
      id: deploymentIdSchema,
      name: z.string().min(1).max(limits.maxNameLength),
      spec: deploymentSpecSchema,
      /** Whether a request made it, and nobody asked for it by itself. Default: no. */
      isOnDemand: z.boolean().optional(),
      /** Whether it is a standby. Left out for all others, and by versions of before. */
      isStandby: z.boolean().optional(),
      /** Peers that it served on last. Default: it has not served yet. */
      placement: lastPlacementSchema.optional(),
    }),
    { most: maxDeployments },
  ),
  /** The terms by which replicas come and go by themselves. Left out by versions of before, and where there are none. */
  scaling: arraySchema(
    scalingSchema.extend({
      id: deploymentIdSchema,
      name: z.string().min(1).max(limits.maxNameLength),
      spec: deploymentSpecSchema,
    }),
    { most: maxDeployments },
  ).optional(),
});

/** The file's content at one change. */
export interface DesiredCopy {
  readonly change: DesiredChange;
  readonly bytes: Uint8Array;
}

/** The desired state as it was kept. */
export interface KeptState {
  readonly deployments: readonly WantedDeployment[];
  readonly scaling: readonly ModelScaling[];
}

/** The desired state as it is to be kept. */
export interface StateToKeep {
  readonly deployments: readonly DesiredDeployment[];
  readonly scaling: readonly ModelScaling[];
}

/** A place where the desired state outlives the coordinator. */
export interface DesiredStore {
  /** Reads what was kept. */
  load(): Promise<KeptState>;
  /** Keeps the deployments that are to serve, and the terms, instead of the earlier ones. Never throws. */
  save(state: StateToKeep): void;
  /** Resolves when the last deployments are on the disk, or could not be written. */
  saved(): Promise<void>;
}

const nothing: KeptState = { deployments: [], scaling: [] };

/** A store that keeps nothing. */
export const forgetful: DesiredStore = {
  load: () => Promise.resolve(nothing),
  save: () => undefined,
  saved: () => Promise.resolve(),
};

/** The desired state in a data directory (`deployments.json`, mode 0600), written whole at each change. */
export class DesiredFile implements DesiredStore {
  readonly #path: string;
  readonly #logger: Logger;
  #written = '';
  #change: DesiredChange = { epoch: 0, revision: 0 };
  #newest: DesiredCopy | undefined;
  #next: string | undefined;
  #writing: Promise<void> | undefined;
  #isFailing = false;

  constructor(directory: string, logger: Logger) {
    this.#path = join(directory, fileName);
    this.#logger = logger;
  }

  /**
   * Reads the file; a missing one has no deployments. A damaged one is set aside, which is logged.
   *
   * @throws SkeinError `disk-failed` when the file can't be read, or is of a later version
   */
  async load(): Promise<KeptState> {
    const stored = await readFileIfAny(this.#path, { maxBytes: maxFileBytes });
    if (stored === undefined) return nothing;
    const ofVersion = checkJson(versionSchema, stored);
    if (ofVersion.ok && ofVersion.data.version > version) {
      throw laterVersion(this.#path, ofVersion.data.version);
    }
    const checked = checkJson(fileSchema, stored);
    if (checked.ok) {
      const { change = this.#change, deployments, scaling = [] } = checked.data;
      this.#written = textOf(deployments, scaling);
      this.#newest = { change, bytes: stored };
      if (compareChanges(change, this.#change) > 0) this.#change = change;
      return {
        deployments: deployments.map((one) => ({ ...one, isOnDemand: one.isOnDemand ?? false, patience: 'all' })),
        scaling,
      };
    }
    const aside = await setAside(this.#path);
    this.#logger.error(
      { path: this.#path, aside, problem: checked.problem },
      'the list of deployments is damaged, and was set aside: nothing is deployed from it; deploy the models again with `skein deploy`',
    );
    return nothing;
  }

  /** The last content that was read or written; undefined before there is one. */
  get newest(): DesiredCopy | undefined {
    return this.#newest;
  }

  /** Makes changes from now on those of an epoch. */
  beginEpoch(epoch: number): void {
    if (epoch > this.#change.epoch) this.#change = { epoch, revision: 0 };
  }

  /**
   * Reads the file as it is; undefined where there is none, or a damaged one.
   *
   * @throws SkeinError `disk-failed` when it can't be read
   */
  async copy(): Promise<DesiredCopy | undefined> {
    await this.#writing;
    const bytes = await readFileIfAny(this.#path, { maxBytes: maxFileBytes });
    const checked = bytes && checkJson(fileSchema, bytes);
    if (bytes === undefined || checked?.ok !== true) return undefined;
    return { change: checked.data.change ?? { epoch: 0, revision: 0 }, bytes };
  }

  /**
   * Writes a copy of another coordinator's, where that is newer. Returns whether it was.
   *
   * @throws SkeinError `protocol-violation` for one that is not as its change says; `disk-failed` when it can't be written
   */
  async replace({ change, bytes }: DesiredCopy): Promise<boolean> {
    const checked = checkJson(fileSchema, bytes);
    if (!checked.ok || compareChanges(checked.data.change, change) !== 0) {
      throw new SkeinError('protocol-violation', 'a list of deployments is not as expected');
    }
    if (compareChanges(change, (await this.copy())?.change) <= 0) return false;
    await replaceSecretFile(this.#path, bytes);
    return true;
  }

  save({ deployments, scaling }: StateToKeep): void {
    this.#next = textOf(
      deployments.filter(isKept).map(({ id, name, spec, isOnDemand, isStandby, placement }) => ({
        id,
        name,
        spec,
        isOnDemand,
        ...(isStandby === true && { isStandby }),
        placement,
      })),
      scaling,
    );
    this.#writing ??= this.#write();
  }

  async saved(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    // Changes of one turn are written together.
    await Promise.resolve();
    for (let text = this.#next; text !== undefined && text !== this.#written; text = this.#next) {
      try {
        const { epoch, revision } = this.#change;
        const change = { epoch, revision: revision + 1 };
        const bytes = Buffer.from(`{"version":${version},"change":${JSON.stringify(change)},${text}}`);
        await replaceSecretFile(this.#path, bytes);
        this.#written = text;
        this.#change = change;
        this.#newest = { change, bytes };
        this.#isFailing = false;
      } catch (error) {
        const { message: reason } = asSkeinError(error, 'disk-failed');
        if (!this.#isFailing)
          this.#logger.error(
            { reason },
            "the list of deployments can't be written: it is lost when this coordinator stops",
          );
        this.#isFailing = true;
        break;
      }
    }
    this.#writing = undefined;
  }
}

/** Tells whether a deployment is to serve again after a restart. */
function isKept({ goal, patience, placement, replacedBy }: DesiredDeployment): boolean {
  return goal === 'serve' && replacedBy === undefined && (patience !== 'none' || placement !== undefined);
}

/** Returns the fields of the file that are desired state, as JSON without the braces. */
function textOf(deployments: z.input<typeof fileSchema>['deployments'], scaling: readonly ModelScaling[]): string {
  return JSON.stringify({ deployments, ...(scaling.length > 0 && { scaling }) }).slice(1, -1);
}

function laterVersion(path: string, found: number) {
  return new SkeinError(
    'disk-failed',
    `${path} was written by a later version of Skein (${found}; this one knows ${version}): update Skein, or move the file away`,
  );
}
