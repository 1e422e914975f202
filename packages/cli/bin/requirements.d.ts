/** Facts about an operating system. */
export interface SystemFacts {
  /** As in `process.platform`. */
  readonly platform: string;
  /** As in `process.arch`. */
  readonly arch: string;
  /** Release of the operating system's kernel. */
  readonly release: string;
  /** Version of glibc; undefined where there is none. */
  readonly glibc?: string | undefined;
  /** Libraries of the Visual C++ runtime that Windows does not have. */
  readonly missingLibraries?: readonly string[];
}
/** A need of llama.cpp that a machine does not meet. */
export interface MissingRequirement {
  readonly what: string;
  readonly fix: string;
}
export const oldest: { readonly glibc: string; readonly macos: number };
export function systemFacts(): SystemFacts;
export function missingRequirements(facts: SystemFacts): readonly MissingRequirement[];
