import { constants, X509Certificate } from 'node:crypto';
import type { SecureContextOptions, TLSSocket, TlsOptions } from 'node:tls';
import { spiffeIdOfNames } from '../formats/spiffe.ts';
import type { TlsIdentity } from './files.ts';

/** How long a caller may take for the handshake, in ms. */
const HANDSHAKE_MS = 10_000;

const VERSION_13 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

/**
 * What a server demands: TLS 1.3, and a certificate of this site's authority, else there is no connection. No session
 * tickets: every connection shows its certificate anew.
 */
export function serverTls(identity: TlsIdentity): TlsOptions {
  return {
    ...secureContext(identity),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS,
  };
}

/** The part of it that is exchanged when the server's certificate is renewed. */
export function secureContext({ certificate, key, authority }: TlsIdentity): SecureContextOptions {
  return { ...VERSION_13, cert: certificate, key, ca: authority, secureOptions: constants.SSL_OP_NO_TICKET };
}

/** What a client shows, and whom it takes for the server: the one with this SPIFFE ID, whatever host it is reached by. */
export function clientTls({ certificate, key, authority }: TlsIdentity, server: string) {
  return {
    ...VERSION_13,
    cert: certificate,
    key,
    ca: authority,
    rejectUnauthorized: true,
    // A path is no name to ask for (RFC 6066 section 3).
    servername: '',
    checkServerIdentity: (
      _host: string,
      { subjectaltname }: { subjectaltname?: string },
    ): Error | undefined =>
      spiffeIdOfNames(subjectaltname) === server
        ? undefined
        : new Error(`the server is not ${server}, by its certificate`),
  };
}

/** The certificate that the other end showed: whose it says it is (null: nobody's that is one), and which it is. */
export function certificateOf(socket: TLSSocket): { spiffe_id: string | null; fingerprint: string } | null {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? null : describe(certificate);
}

/** The same for a PEM text whose first certificate it is. */
export function certificateIn(pem: string): { spiffe_id: string | null; fingerprint: string } {
  return describe(new X509Certificate(pem));
}

function describe({ subjectAltName, fingerprint256 }: X509Certificate) {
  return {
    spiffe_id: spiffeIdOfNames(subjectAltName),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}
