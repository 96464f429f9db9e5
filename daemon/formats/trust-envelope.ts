import { BoundaryError } from './boundary-error.ts';
import { addSignature, type DsseEnvelope, type DsseSigner, parseEnvelope, verifyEnvelope } from './dsse.ts';

/*
 * A site's trust file under headquarters' signatures: a DSSE envelope whose payload is the file as the site wrote it. The
 * `keyid` of a signature is the TUF key id.
 */

/** DSSE payload type of a trust file. */
export const TRUST_TYPE = 'application/vnd.holdfast.trust.v1+json';

/** A key whose countersignature counts. */
export interface Countersigner {
  /** TUF key id. */
  id: string;
  /** Its holder, for people. */
  name: string;
  publicKey: Uint8Array;
}

/** Who countersigns, and how many of them must. */
export interface Countersigners {
  keys: readonly Countersigner[];
  threshold: number;
}

/** The envelope in a text; null when the text is another JSON object, such as a plain trust file. */
export function trustEnvelope(text: string): DsseEnvelope | null {
  if (!/"payloadType"\s*:/.test(text)) return null;
  const envelope = parseEnvelope(text);
  if (envelope.payloadType === TRUST_TYPE) return envelope;
  throw new BoundaryError('trust.other_envelope', 'The file is a signed envelope, but not of a trust file.');
}

/** The envelope with one more signature; one by the same key is replaced. Text for a file. */
export function addCountersignature(
  payload: Uint8Array,
  signatures: DsseEnvelope['signatures'],
  signer: DsseSigner,
): string {
  return addSignature({ payloadType: TRUST_TYPE, payload, signatures }, signer);
}

/**
 * Holds an envelope against those whose signatures count. Returns those who signed. Throws BoundaryError
 * `trust.unknown_countersigner` when none of them claims to have, `trust.bad_countersignature` when one that claims to has
 * not signed this very file, `trust.too_few_countersignatures`.
 */
export function verifyCountersignatures(
  envelope: DsseEnvelope,
  { keys, threshold }: Countersigners,
): Countersigner[] {
  const claimed = keys.filter(({ id }) => envelope.signatures.some(({ keyid }) => keyid === id));
  if (claimed.length === 0)
    throw new BoundaryError(
      'trust.unknown_countersigner',
      'The trust file is countersigned by keys that the root given does not name. Give a newer root (--root, once for each version), or ask headquarters.',
    );
  const wrong = claimed.find((key) => !hasSigned(envelope, key));
  if (wrong !== undefined)
    throw new BoundaryError(
      'trust.bad_countersignature',
      `The countersignature of ${wrong.name} does not match: the trust file was changed after it was signed, or was never signed. Nothing was checked with it; do not use it.`,
    );
  if (claimed.length < threshold)
    throw new BoundaryError(
      'trust.too_few_countersignatures',
      `The trust file is countersigned by ${claimed.length} of headquarters' keys; ${threshold} must sign. Nothing was checked with it; ask headquarters to complete it.`,
    );
  return claimed;
}

function hasSigned(envelope: DsseEnvelope, { id, publicKey }: Countersigner): boolean {
  const own = { ...envelope, signatures: envelope.signatures.filter(({ keyid }) => keyid === id) };
  try {
    verifyEnvelope(own, { payloadType: TRUST_TYPE, keys: [publicKey], threshold: 1 });
    return true;
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'dsse.threshold') return false;
    throw error;
  }
}
