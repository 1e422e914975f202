import { hash } from 'node:crypto';

/**
 * Returns the DNS-SD name under which the members of one mesh look for each other, made from the mesh's id. It keeps
 * meshes apart on one LAN and holds nothing secret; admission keeps strangers out.
 */
export function serviceTag(mesh: string): string {
  return `_skein-${hash('sha256', `skein-mdns-1:${mesh}`).slice(0, 16)}._udp.local`;
}
