import { BoundaryError } from './boundary-error.ts';
import { canonicalText } from './canonical-json.ts';
import { isHexDigest, sha256Hex } from './digest.ts';
import { addSignature, type DsseEnvelope, type DsseSigner, parseEnvelope, verifyEnvelope } from './dsse.ts';
import type { Json, JsonObject } from './json.ts';
import { parseStrict } from './strict-json.ts';
import type { Countersigners } from './trust-envelope.ts';

/*
 * What headquarters hands to a machine that is to become a site: a folder of public files, and `provision.json`, a DSSE
 * envelope of the targets role over the list of them. The digest of the list is the one thing that people compare.
 */

/** DSSE payload type of the list. */
export const PROVISIONING_TYPE = 'application/vnd.holdfast.provisioning.v1+json';
/** The envelope's name in the folder. */
export const PROVISIONING_FILE = 'provision.json';
/** Names in the folder that every list has. */
export const PROVISIONED_ROOT = 'root.json';
export const PROVISIONED_CONFIG = 'holdfast.json';
export const PROVISIONED_REPOSITORY = 'repository';

const MAX_BYTES = 262_144;
const MAX_FILES = 256;
const PROFILES = ['node', 'appliance'] as const;
/** Every component starts with a letter or digit: nothing that climbs, nothing absolute. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*){0,6}$/;

/** The signed list. */
export interface Provisioning {
  v: 1;
  site: string;
  profile: (typeof PROFILES)[number];
  /** RFC 3339. */
  issued_at: string;
  /** The policy that the site starts with: `NAME@VERSION` by environment. */
  policy: Record<string, string>;
  /** Hex SHA-256 by name in the folder, `provision.json` itself aside. */
  files: Record<string, string>;
}

/** A list as it was carried, signatures not yet verified. */
export interface CarriedProvisioning {
  list: Provisioning;
  envelope: DsseEnvelope;
  /** Hex SHA-256 of the signed bytes. */
  digest: string;
}

/** The bytes that are signed. */
export function provisioningBytes(list: Provisioning): Uint8Array {
  return Buffer.from(canonicalText(list as unknown as Json), 'utf8');
}

/** Takes an envelope apart. Throws BoundaryError `provision.malformed`, `dsse.*`, `json.*`. */
export function parseProvisioning(bytes: Uint8Array): CarriedProvisioning {
  if (bytes.length > MAX_BYTES) throw malformed('is too large');
  const envelope = parseEnvelope(Buffer.from(bytes).toString('utf8'));
  if (envelope.payloadType !== PROVISIONING_TYPE) throw malformed('is a signed envelope of something else');
  const text = Buffer.from(envelope.payload).toString('utf8');
  const list = parseList(parseStrict(text, { maxBytes: MAX_BYTES, maxDepth: 3 }));
  return { list, envelope, digest: sha256Hex(envelope.payload) };
}

/** The envelope with one more signature; one by the same key is replaced. Text for the file. */
export function signProvisioning(
  payload: Uint8Array,
  signatures: DsseEnvelope['signatures'],
  signer: DsseSigner,
): string {
  return addSignature({ payloadType: PROVISIONING_TYPE, payload, signatures }, signer);
}

/** Names of those of `signers` whose signatures match, whether they suffice or not. */
export function signersOf(envelope: DsseEnvelope, { keys }: Countersigners): string[] {
  return keys.filter(({ publicKey }) => suffices(envelope, [publicKey], 1)).map(({ name }) => name);
}

/** Throws BoundaryError `provision.unsigned` unless enough of headquarters' targets keys signed the list. */
export function verifyProvisioning({ envelope }: CarriedProvisioning, signers: Countersigners): string[] {
  const { keys, threshold } = signers;
  const signed = signersOf(envelope, signers);
  if (
    suffices(
      envelope,
      keys.map(({ publicKey }) => publicKey),
      threshold,
    )
  )
    return signed;
  throw new BoundaryError(
    'provision.unsigned',
    `The provisioning folder is signed by ${signed.length} of the targets keys that its root names; ${threshold} must sign. Nothing was made. At headquarters: holdfast repo sign-provision FOLDER --repo DIR --key KEY`,
  );
}

function suffices(envelope: DsseEnvelope, keys: readonly Uint8Array[], threshold: number): boolean {
  try {
    verifyEnvelope(envelope, { payloadType: PROVISIONING_TYPE, keys, threshold });
    return true;
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'dsse.threshold') return false;
    throw error;
  }
}

function parseList(value: Json): Provisioning {
  const list = objectOf(value, 'is not an object');
  const stray = Object.keys(list).find(
    (key) => !['v', 'site', 'profile', 'issued_at', 'policy', 'files'].includes(key),
  );
  if (stray !== undefined) throw malformed(`has an unknown member ${JSON.stringify(stray.slice(0, 64))}`);
  if (list.v !== 1) throw malformed('is of another version');
  const { site, issued_at } = list;
  if (typeof site !== 'string' || site === '') throw malformed('names no site');
  if (typeof issued_at !== 'string' || !Number.isFinite(Date.parse(issued_at)))
    throw malformed('has no date');
  const profile = PROFILES.find((known) => known === list.profile);
  if (profile === undefined) throw malformed(`has a profile other than ${PROFILES.join(' or ')}`);
  const files = textsOf(list.files, 'files', isHexDigest);
  const names = Object.keys(files);
  if (names.length > MAX_FILES || !names.every((name) => NAME.test(name) && name.length <= 400))
    throw malformed('lists files that no folder of ours holds');
  for (const name of [PROVISIONED_ROOT, PROVISIONED_CONFIG])
    if (!names.includes(name)) throw malformed(`does not list ${name}`);
  const policy = textsOf(list.policy, 'policy', (text) => typeof text === 'string' && text.length <= 200);
  return { v: 1, site, profile, issued_at, policy, files };
}

function textsOf(
  value: Json | undefined,
  at: string,
  isFit: (text: Json | undefined) => boolean,
): Record<string, string> {
  const object = objectOf(value, `has no ${at}`);
  if (!Object.values(object).every(isFit)) throw malformed(`has a wrong value in ${at}`);
  return object as Record<string, string>;
}

function objectOf(value: Json | undefined, what: string): JsonObject {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw malformed(what);
  return value;
}

function malformed(what: string): BoundaryError {
  return new BoundaryError(
    'provision.malformed',
    `${PROVISIONING_FILE} ${what}: it is not the list of a provisioning folder. Nothing was made; ask headquarters for the folder again.`,
  );
}
