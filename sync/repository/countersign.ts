import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Key } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { fromHex } from '../../daemon/formats/digest.ts';
import { type DsseEnvelope, parseEnvelope } from '../../daemon/formats/dsse.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import {
  addCountersignature,
  type Countersigner,
  verifyCountersignatures,
} from '../../daemon/formats/trust-envelope.ts';
import { readBounded } from '../../daemon/host/durable-file.ts';
import { keyOf } from './keys.ts';
import { keyName, rolesOf } from './roles.ts';
import { readState } from './state.ts';

const ROOT_MAX_BYTES = 512_000;

/** A trust file as it is to be countersigned. */
export interface TrustToSign {
  /** The file's own bytes: the payload. */
  bytes: Uint8Array;
  /** Signatures that it has already; null for a plain file. */
  envelope: DsseEnvelope | null;
  /** Bytes of the root that the site says it has pinned. */
  root: Uint8Array;
}

/** How far the countersigning is. */
export interface Countersigned {
  /** The file with the new signature. */
  text: string;
  signed: string[];
  /** Who could still sign. */
  open: string[];
  threshold: number;
}

/** Version of this repository's root that a site has pinned; null when it is another publisher's. */
export function pinnedVersion(repository: string, root: Uint8Array): number | null {
  const dir = join(repository, 'metadata');
  const names = existsSync(dir) ? readdirSync(dir) : [];
  for (const name of names) {
    const version = /^([1-9][0-9]*)\.root\.json$/.exec(name)?.[1];
    if (version === undefined) continue;
    if (Buffer.from(readBounded(join(dir, name), ROOT_MAX_BYTES)).equals(root)) return Number(version);
  }
  return null;
}

/**
 * Adds one signature of the targets role to a site's trust file. Throws BoundaryError `sign_trust.not_a_signer`,
 * `sign_trust.other_root` when the site follows another publisher, `trust.bad_countersignature` when one that is there
 * does not match.
 */
export function countersign(repository: string, trust: TrustToSign, signer: NoteSigner): Countersigned {
  const { keys, threshold } = rolesOf(readState(repository).root.signed).targets;
  const id = keyOf(signer).keyID;
  if (!keys.some(({ keyID }) => keyID === id)) throw notASigner(signer, keys);
  if (pinnedVersion(repository, trust.root) === null) throw otherRoot(repository);
  const text = addCountersignature(trust.bytes, trust.envelope?.signatures ?? [], {
    keyid: id,
    sign: signer.sign,
  });
  // The others' signatures too: a file that was changed on the way must not travel on with another name under it.
  const signed = verifyCountersignatures(parseEnvelope(text), {
    keys: keys.map(countersigner),
    threshold: 1,
  });
  const open = keys.filter(({ keyID }) => !signed.some((one) => one.id === keyID)).map(keyName);
  return { text, signed: signed.map(({ name }) => name), open, threshold };
}

function countersigner(key: Key): Countersigner {
  return { id: key.keyID, name: keyName(key), publicKey: fromHex(key.keyVal.public ?? '') };
}

function notASigner({ name }: NoteSigner, keys: readonly Key[]): BoundaryError {
  return new BoundaryError(
    'sign_trust.not_a_signer',
    `Trust files are countersigned by the targets keys of the repository (${keys.map(keyName).join(', ')}); ${name} is none of them. Nothing was signed.`,
    { at: '--key' },
  );
}

function otherRoot(repository: string): BoundaryError {
  return new BoundaryError(
    'sign_trust.other_root',
    `The site says that it follows a root that was never published in ${repository}; nothing was signed. Name the right repository, or ask the site how it was set up.`,
  );
}
