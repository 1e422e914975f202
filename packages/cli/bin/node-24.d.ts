export function runOnNode24(options: {
  readonly script: string;
  readonly args: readonly string[];
  readonly searchFrom: string;
}): Promise<void>;
export function isNewEnough(version: string): boolean;
export function findInstalledNode(directory: string, platform: string, arch: string): string | undefined;
export function missingNodeMessage(version: string, platform: string, arch: string): string;
