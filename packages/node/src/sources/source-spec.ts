/** A model of a Hugging Face repository, whose file its list of files tells. */
export interface RepositorySpec {
  readonly kind: 'repository';
  /** `owner/name`. */
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Quantization, e.g. `Q4_K_M`; undefined where the repository has one model, or the usual one is meant. */
  readonly quantization: string | undefined;
}

/** A file of a Hugging Face repository. */
export interface HuggingFaceSpec {
  readonly kind: 'hugging-face';
  /** `owner/name`. */
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Path inside the repository. */
  readonly file: string;
}

/** A file that Python packages carry, whole or cut into pieces. */
export interface PythonPackageSpec {
  readonly kind: 'python-package';
  /** Parts of the model, whose files one after another are its file. */
  readonly parts: readonly PackagePart[];
}

export interface PackagePart {
  readonly package: string;
  /** Exact version of the package. */
  readonly version: string;
  /** Path of the file inside the wheel. */
  readonly member: string;
  /** Size of that file, in bytes. */
  readonly bytes: number;
}

/** A file on this machine. */
export interface LocalFileSpec {
  readonly kind: 'local-file';
  readonly path: string;
  /**
   * Whether nobody will write to the file, so that the store may have it by a hard link. Default: only a file that is
   * named by its own SHA-256.
   */
  readonly isFinal?: boolean;
  /** Name of the model. Default: that of the file. */
  readonly name?: string;
}

/** A source of a model's file, as data. `createSource` makes the adapter for it. */
export type SourceSpec = HuggingFaceSpec | PythonPackageSpec | LocalFileSpec;
