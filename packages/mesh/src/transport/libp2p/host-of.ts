import type { Connection, MultiaddrConnection } from '@libp2p/interface';

/** Returns the host name or IP address of a connection's other end. */
export function hostOf({ remoteAddr }: Pick<Connection | MultiaddrConnection, 'remoteAddr'>): string | undefined {
  return remoteAddr.getComponents()[0]?.value;
}
