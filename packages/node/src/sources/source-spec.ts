/** A file of a public Hugging Face repository. */
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
}

/** A source of a model's file, as data. `createSource` makes the adapter for it. */
export type SourceSpec = HuggingFaceSpec | PythonPackageSpec | LocalFileSpec;
