import {
  Key,
  type Metadata,
  type Root,
  Signature,
  type Snapshot,
  type Targets,
  type Timestamp,
} from '@tufjs/models';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex, toHex } from '../../daemon/formats/digest.ts';
import { type NoteSigner, parseVkey } from '../../daemon/formats/signed-note.ts';

export const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type RoleName = (typeof ROLES)[number];

/** Who signs each role; more than one where a threshold asks for it. */
export type RoleSigners = Record<RoleName, readonly NoteSigner[]>;

/** The TUF key of a signer; its id is the hex SHA-256 of the canonical key object (TUF §4.2). */
export function keyOf(signer: NoteSigner): Key {
  const object = {
    keytype: 'ed25519',
    keyval: { public: toHex(parseVkey(signer.vkey).publicKey) },
    scheme: 'ed25519',
  };
  return new Key({
    keyID: sha256Hex(canonicalBytes(object)),
    keyType: object.keytype,
    scheme: object.scheme,
    keyVal: object.keyval,
  });
}

/** Adds one signature per signer. */
export function signWith(
  metadata: Metadata<Root | Targets | Snapshot | Timestamp>,
  signers: readonly NoteSigner[],
): void {
  for (const signer of signers) {
    metadata.sign((bytes) => new Signature({ keyID: keyOf(signer).keyID, sig: toHex(signer.sign(bytes)) }));
  }
}
