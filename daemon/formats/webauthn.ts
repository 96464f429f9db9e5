import { sha256 } from './digest.ts';
import type { SshReader } from './ssh-wire.ts';

/** WebAuthn §6.1 authenticator data flags. */
const FLAG_ATTESTED = 0x40;
const FLAG_EXTENSIONS = 0x80;

/**
 * Reads the tail of a `webauthn-sk-*` signature (PROTOCOL.u2f): origin, client data, extensions. The client data must
 * be that of an assertion over exactly `message` at that origin; null when it is not. Origin itself is not judged: the
 * key's application binds it.
 */
export function webauthnMessage(
  reader: SshReader,
  flags: number,
  message: Uint8Array,
): { extensions: Uint8Array; hash: Uint8Array } | null {
  const origin = reader.text();
  const clientData = reader.text();
  const extensions = reader.string();
  if (origin.includes('"') || (flags & FLAG_ATTESTED) !== 0) {
    return null;
  }
  if (((flags & FLAG_EXTENSIONS) !== 0) !== extensions.length > 0) {
    return null;
  }
  const challenge = Buffer.from(message).toString('base64url');
  // WebAuthn §5.8.1.2 limited verification: serialization of these members, in this order, is fixed.
  if (!clientData.startsWith(`{"type":"webauthn.get","challenge":"${challenge}","origin":"${origin}"`)) {
    return null;
  }
  return { extensions, hash: sha256(clientData) };
}
