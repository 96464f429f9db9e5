import { spiffeIdOf } from '../formats/spiffe.ts';
import type { TlsIdentity } from '../identity/files.ts';

/** What a client shows on a TLS socket, and whom it expects there. */
export interface ClientTls {
  identity: TlsIdentity;
  /** SPIFFE ID of the server. */
  server: string;
}

/** The TLS of a client of one of a site's sockets. */
export function clientTlsFor(site: string, socket: string, identity: TlsIdentity): ClientTls {
  return { identity, server: spiffeIdOf(site, socket === 'gateway' ? '/gateway' : '/daemon') };
}
