import { readdir } from 'node:fs/promises';

import { statIfAny, type EncodedManifest } from '@skein/mesh';
import {
  asSkeinError,
  sha256Schema,
  SkeinError,
  type HeldModel,
  type Logger,
  type ModelManifest,
} from '@skein/protocol';

import { decodeMetadataEntry, openFileSource, type Value } from '../gguf/index.ts';
import { generationKeys, whyItDoesNotGenerate } from '../stage-file/index.ts';
import type { StoreLayout } from './layout.ts';
import { readManifest } from './saved-manifest.ts';

/** Longest entry of the keys that are looked at, in bytes: longer ones make no sense. */
const maxEntryBytes = 4096;

/**
 * The whole models on the disk. A model counts as held when its manifest can be read and its file has the manifest's
 * size: the content was verified before the file got its name, and the name is its hash.
 */
export class HeldModels {
  readonly #layout: StoreLayout;
  readonly #logger: Logger;
  /** Models that could not be read the last time. */
  readonly #unreadable = new Set<string>();
  /** Manifests by model. They never become outdated: a model's manifest does not change. */
  readonly #manifests = new Map<string, EncodedManifest>();
  /** Reasons against models, by model; undefined for usable ones. */
  readonly #unusable = new Map<string, string | undefined>();

  constructor(layout: StoreLayout, logger: Logger) {
    this.#layout = layout;
    this.#logger = logger;
  }

  /**
   * Finds a model by its SHA-256; undefined when it is not held.
   *
   * @throws SkeinError `disk-failed` when its manifest exists and can't be read
   */
  async find(model: string): Promise<HeldModel | undefined> {
    const encoded = await this.#findManifest(model);
    if (encoded === undefined) return undefined;
    const { manifest, digest } = encoded;
    const held = { model, manifest: digest, name: manifest.name, bytes: manifest.bytes };
    const unusable = await this.#whyUnusable(manifest);
    return unusable === undefined ? held : { ...held, unusable };
  }

  /**
   * Lists all models that can be read, by name; logs the others. Other processes may add to the store, so this reads
   * the disk each time.
   */
  async list(): Promise<HeldModel[]> {
    const files = await readdir(this.#layout.models);
    const found = files
      .filter((file) => file.endsWith('.gguf'))
      .map((file) => this.#findReadable(file.slice(0, -'.gguf'.length)));
    return (await Promise.all(found))
      .filter((held) => held !== undefined)
      .sort((first, second) => first.name.localeCompare(second.name) || first.model.localeCompare(second.model));
  }

  /**
   * Returns the manifest of a held model.
   *
   * @throws SkeinError `model-not-found` when it is not held, `disk-failed` when its manifest can't be read
   */
  async manifest(model: string): Promise<EncodedManifest> {
    const found = await this.#findManifest(model);
    if (found !== undefined) return found;
    throw new SkeinError(
      'model-not-found',
      `this machine does not hold the model ${model.slice(0, 64)}; pull it first`,
    );
  }

  async #findReadable(model: string): Promise<HeldModel | undefined> {
    try {
      const held = await this.find(model);
      this.#unreadable.delete(model);
      return held;
    } catch (error) {
      if (!this.#unreadable.has(model)) {
        const reason = asSkeinError(error, 'disk-failed').message;
        this.#logger.warn({ model, reason }, 'a model is there and can not be read: it is not offered');
      }
      this.#unreadable.add(model);
      return undefined;
    }
  }

  /**
   * Returns the reason against a model that an earlier version accepted and today's pull refuses; undefined for usable
   * models.
   */
  async #whyUnusable({ model, shape, sections }: ModelManifest): Promise<string | undefined> {
    if (this.#unusable.has(model)) return this.#unusable.get(model);
    const names = generationKeys.map((suffix) => `${shape.architecture}.${suffix}`);
    const telling = sections.filter(({ kind, name }) => kind === 'metadata' && names.includes(name));
    const metadata = new Map<string, Value>([['general.architecture', shape.architecture]]);
    if (telling.length > 0) {
      await using file = await openFileSource(this.#layout.model(model));
      for (const { name, offset, bytes } of telling) {
        const { value } = await decodeMetadataEntry(await file.read(offset, Math.min(bytes, maxEntryBytes)));
        if (value !== undefined) metadata.set(name, value);
      }
    }
    const reason = whyItDoesNotGenerate(metadata);
    this.#unusable.set(model, reason);
    return reason;
  }

  async #findManifest(model: string): Promise<EncodedManifest | undefined> {
    // The id becomes part of a path.
    if (!sha256Schema.safeParse(model).success) return undefined;
    const status = await statIfAny(this.#layout.model(model));
    if (status === undefined) return undefined;
    const found = this.#manifests.get(model) ?? (await readManifest(this.#layout.manifest(model)));
    if (found?.manifest.model !== model || found.manifest.bytes !== status.size) return undefined;
    this.#manifests.set(model, found);
    return found;
  }
}
