import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalBytes } from '../../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../../daemon/formats/digest.ts';
import type { Json, JsonObject } from '../../../daemon/formats/json.ts';
import { readRoot } from '../../../daemon/policy/update-root.ts';
import { verifyUpdate } from '../../../daemon/policy/verify-update.ts';
import { keyOf } from '../../../sync/repository/keys.ts';
import { NOW, PublisherWorld, SITE } from '../../policy/publisher-world.ts';
import { bytes, type Target } from '../target.ts';

/*
 * A TUF repository on a medium: one file of it is the input, all others are right. Once as somebody without keys changes
 * it, and once as somebody with every key does: then its changed words are signed, and the chain above it agrees.
 */

/** From the one that is read last to the first. */
const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
type Role = (typeof ROLES)[number];
const WORDS = [
  '"delegations":{"keys":{},"roles":[]}',
  '"path_hash_prefixes":["00"]',
  '"terminating":true',
  '*',
  'sites/*',
];

type Files = Map<string, Uint8Array>;

function filesOf(dir: string): Files {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.json'),
  );
  return new Map(names.sort().map((name) => [name, readFileSync(join(dir, name))]));
}

class Repository {
  readonly #dir = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'));
  readonly #hq: PublisherWorld;
  readonly files: Files;

  constructor() {
    try {
      this.#hq = new PublisherWorld(this.#dir);
      this.#hq.publish(1);
      this.files = filesOf(this.#hq.dir);
    } finally {
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }

  get root(): Uint8Array {
    return this.#hq.root;
  }

  /** Path of a role's newest file. */
  path(role: Role): string {
    const paths = [...this.files.keys()].filter(
      (path) => path.endsWith(`${role}.json`) && path.startsWith('metadata/'),
    );
    const [newest] = paths.sort((a, b) => Number.parseInt(b.slice(9), 10) - Number.parseInt(a.slice(9), 10));
    if (newest === undefined) throw new Error(`the repository has no ${role}`);
    return newest;
  }

  bytes(role: Role): Uint8Array {
    return this.files.get(this.path(role)) ?? new Uint8Array();
  }

  signedPart(role: Role): JsonObject {
    return (JSON.parse(Buffer.from(this.bytes(role)).toString('utf8')) as { signed: JsonObject }).signed;
  }

  verify(changes: Iterable<[string, Uint8Array]>): Promise<unknown> {
    const files = new Map([...this.files, ...changes]);
    return verifyUpdate({ files, trustedRoot: this.root, site: SITE, now: NOW, expiry: 'enforce' });
  }

  /** A file as its role's keys would sign it, and what is above it made to agree. */
  forged(role: Role, signed: Json): [string, Uint8Array][] {
    const bytes = this.#signed(role, signed);
    const made: [string, Uint8Array] = [this.path(role), bytes];
    const above = role === 'targets' ? 'snapshot' : role === 'snapshot' ? 'timestamp' : null;
    if (above === null) return [made];
    const upper = this.signedPart(above);
    const version = Number.parseInt(this.path(role).slice(9), 10);
    const meta = { version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
    return [
      made,
      ...this.forged(above, { ...upper, meta: { ...(upper.meta as JsonObject), [`${role}.json`]: meta } }),
    ];
  }

  #signed(role: Role, signed: Json): Uint8Array {
    const signers = this.#hq.keys[role];
    const text = canonicalBytes(signed);
    const signatures = signers.map((signer) => ({
      keyid: keyOf(signer).keyID,
      sig: Buffer.from(signer.sign(text)).toString('hex'),
    }));
    return Buffer.from(JSON.stringify({ signed, signatures }));
  }
}

export async function targets(): Promise<Target[]> {
  const repository = new Repository();
  const asIs = ROLES.map((role) =>
    bytes(`tuf-${role}`, {
      covers: ['verifyUpdate'],
      seeds: [repository.bytes(role)],
      read: (input) => repository.verify([[repository.path(role), input]]),
      words: WORDS,
    }),
  );
  const forged = (['targets', 'snapshot', 'timestamp'] as const).map((role) =>
    bytes(`tuf-forged-${role}`, {
      covers: [
        'verifyUpdate',
        'readTargets',
        'readDelegations',
        'readRegion',
        'readSiteTarget',
        'readBundles',
      ],
      seeds: [canonicalBytes(repository.signedPart(role))],
      read: (input) => repository.verify(repository.forged(role, signable(input))),
      words: WORDS,
    }),
  );
  const roots = bytes('tuf-pinned-root', { covers: ['readRoot'], seeds: [repository.root], read: readRoot });
  return [...asIs, ...forged, roots];
}

/** Nobody signs what is no JSON; the reader is not asked about it. */
function signable(input: Uint8Array): Json {
  try {
    const value = JSON.parse(Buffer.from(input).toString('utf8')) as Json;
    canonicalBytes(value);
    return value;
  } catch {
    return {};
  }
}
