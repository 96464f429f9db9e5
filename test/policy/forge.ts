import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex, toHex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { keyOf } from '../../sync/repository/keys.ts';
import type { CeremonyWorld } from '../sync/ceremony-world.ts';

/* What somebody who holds keys can do to a repository beside its tools. */

/** The signed part of a metadata file. */
export interface Signed extends JsonObject {
  version: number;
}

/**
 * Changes a metadata file of the repository (`2.targets.json`), has it signed by `signers`, and the online chain made to
 * agree with it: everybody colludes above.
 */
export function forge(
  world: CeremonyWorld,
  file: string,
  signers: readonly string[],
  change: (signed: Signed) => void,
): void {
  rewrite(world, file, signers, change);
  chain(world, file);
}

/** Has snapshot and timestamp name this file as it is now: under the versions that they have, or under the `next` ones. */
export function chain(world: CeremonyWorld, file: string, as: 'same' | 'next' = 'same'): void {
  const step = as === 'same' ? 0 : 1;
  const last = newest(world, 'snapshot');
  const snapshot = `${Number(last.split('.')[0]) + step}.snapshot.json`;
  if (step > 0) cpSync(at(world, last), at(world, snapshot));
  rewrite(world, snapshot, ['online'], (signed) => {
    signed.version += step;
    (signed.meta as JsonObject)[file.replace(/^\d+\./, '')] = metaOf(world, file);
  });
  rewrite(world, 'timestamp.json', ['online'], (signed) => {
    signed.version += step;
    signed.meta = { 'snapshot.json': metaOf(world, snapshot) };
  });
}

/** Changes a metadata file and replaces its signatures. */
export function rewrite(
  world: CeremonyWorld,
  file: string,
  signers: readonly string[],
  change: (signed: Signed) => void,
): void {
  const { signed } = readMetadata(world, file);
  change(signed);
  const signatures = signers.map((name) => {
    const signer = world.key(name);
    return { keyid: keyOf(signer).keyID, sig: toHex(signer.sign(canonicalBytes(signed))) };
  });
  writeFileSync(at(world, file), JSON.stringify({ signed, signatures }));
}

/** How one metadata file names another. */
export function metaOf(world: CeremonyWorld, file: string): JsonObject {
  const bytes = readFileSync(at(world, file));
  const { version } = readMetadata(world, file).signed;
  return { version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
}

/** Adds a target's file under its digest; returns how a list names it. */
export function addTarget(world: CeremonyWorld, name: string, bytes: Uint8Array): JsonObject {
  const digest = sha256Hex(bytes);
  const slash = name.lastIndexOf('/') + 1;
  const path = join('targets', name.slice(0, slash), `${digest}.${name.slice(slash)}`);
  writeFileSync(join(world.repository, path), bytes);
  return { length: bytes.length, hashes: { sha256: digest } };
}

export function readMetadata(
  world: CeremonyWorld,
  file: string,
): { signed: Signed; signatures: { keyid: string; sig: string }[] } {
  return JSON.parse(readFileSync(at(world, file), 'utf8')) as ReturnType<typeof readMetadata>;
}

/** `N.ROLE.json` with the highest N. */
export function newest(world: CeremonyWorld, role: string): string {
  const versions = readdirSync(join(world.repository, 'metadata'))
    .map((name) => /^(\d+)\.(.+)\.json$/.exec(name))
    .flatMap((match) => (match?.[2] === role ? [Number(match[1])] : []));
  return `${Math.max(...versions)}.${role}.json`;
}

/** Path of a metadata file. */
export function at(world: CeremonyWorld, file: string): string {
  return join(world.repository, 'metadata', file);
}
