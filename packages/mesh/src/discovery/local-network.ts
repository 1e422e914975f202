import { hasCode } from '@skein/protocol';

/** Fix for a program that macOS keeps from the local network. */
export const localNetworkFix =
  'allow the terminal or the program that starts Skein in System Settings, Privacy & Security, Local Network, and start Skein again; started as a LaunchDaemon or over ssh it needs no permission';

/**
 * Tells whether an error of sending means that macOS keeps this program from the local network: without the permission
 * each multicast packet fails as if there was no way to any host.
 */
export function isLocalNetworkDenied(error: unknown, platform: NodeJS.Platform = process.platform): boolean {
  return platform === 'darwin' && hasCode(error, 'EHOSTUNREACH');
}
