import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Peer } from '../engine/protocol.ts';
import { isOfSite } from '../formats/spiffe.ts';
import type { PeerCredentials } from './peer-credentials.ts';
import type { Register } from './register.ts';
import { certificateOf } from './tls.ts';

/** Who is on the other end of one connection, as far as the machine can tell. Which principal that is, the engine says. */
export interface Caller {
  readonly peer: Peer;
  /** Why nothing may be answered on this connection any more; null while it may. Looked at for every request. */
  refusal(): string | null;
}

/** How the callers of one process are told apart. */
export interface CallerSources {
  site: string;
  credentials: Pick<PeerCredentials, 'uidOf'>;
  /** The certificates that were given out; null where only the daemon can look, which then is asked. */
  register: Register | null;
}

/** Nobody is told apart: tests of the API alone, and machines without a kernel's word. */
export const NO_SOURCES: CallerSources = { site: '', credentials: { uidOf: () => null }, register: null };

/** Takes down who has connected. On a TLS connection the handshake must be over. */
export function callerOf(socket: Socket, kind: Peer['socket'], sources: CallerSources): Caller {
  const uid = sources.credentials.uidOf(socket);
  if (!(socket instanceof TLSSocket)) return { peer: { socket: kind, uid }, refusal: () => null };
  const shown = certificateOf(socket);
  const { site, register } = sources;
  if (shown === null || shown.spiffe_id === null || !isOfSite(shown.spiffe_id, site)) {
    const peer = { socket: kind, uid };
    return { peer, refusal: () => `The certificate names nobody of ${site}.` };
  }
  const { spiffe_id, fingerprint } = shown;
  register?.seen(fingerprint);
  return {
    peer: { socket: kind, uid, spiffe_id, certificate: fingerprint },
    refusal: () => (register === null ? null : certificateRefusal(register, fingerprint)),
  };
}

const STANDING_WORDS = {
  replaced: 'The certificate was replaced by a newer one, and counts no longer.',
  unknown: 'The certificate is none that this site gave out, although its authority signed it.',
} as const;

/** Why a certificate does not count at this site, whatever the policy says; null when it does. */
export function certificateRefusal(register: Register, fingerprint: string): string | null {
  const standing = register.standing(fingerprint);
  return standing === 'active' ? null : STANDING_WORDS[standing];
}
