import type { MeshSecret } from '../identity/mesh-secret.ts';

/**
 * The DNS-SD name under which the members of one mesh look for each other. Different for every mesh, and it tells
 * nothing about the secret. It keeps meshes apart on one LAN; the gate is what keeps strangers out.
 */
export function serviceTag(secret: MeshSecret): string {
  const digest = Buffer.from(secret.authenticate('mdns')).toString('hex');
  return `_skein-${digest.slice(0, 16)}._udp.local`;
}
