import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { type VerifyOptions, verifyUpdate } from '../../daemon/policy/verify-update.ts';
import { keyOf, type RoleSigners } from '../../sync/repository/keys.ts';
import { type Lifetimes, signRoot } from '../../sync/repository/metadata.ts';
import { createRepository, type Published, publish } from '../../sync/repository/publish.ts';

export const SITE = 'outpost-7.example';
export const NOW = Date.parse('2026-11-20T12:00:00Z');
export const DAY = 86_400_000;
const LIFETIMES: Lifetimes = { root: 3_650, targets: 90, snapshot: 30, timestamp: 7 };

/** The smallest bundle that is whole: it allows nothing. */
export function bundleBytes(
  version: number,
  changes: { name?: string; sites?: string[]; environments?: string[] } = {},
): Uint8Array {
  const environments = Object.fromEntries(
    (changes.environments ?? ['production', 'staging']).map((name) => [name, { description: name }]),
  );
  return canonicalBytes({
    schema: 'holdfast/bundle/v1',
    metadata: {
      name: changes.name ?? 'base',
      version,
      description: 'Nothing is allowed.',
      issued_at: '2026-11-01T00:00:00Z',
      sites: changes.sites ?? [SITE],
      freshness: { warn_after: '7d', escalate_after: '14d', deny_after: '30d' },
    },
    environments,
    actions: {},
    tools: {},
    gates: [],
    risk: { factors: [], bands: [{ band: 'low', below: 2 }] },
    authority: { routes: [] },
    principals: {},
  });
}

/** Members to set in the signed part, or what to do to it. */
export type Edit = JsonObject | ((signed: JsonObject) => void);

/** Headquarters in a directory: two root keys with threshold 2, and every way to misuse them. */
export class PublisherWorld {
  readonly dir: string;
  readonly root: Uint8Array;
  readonly #base: string;
  keys: RoleSigners;

  constructor(base: string, options: { profile?: 'dev' | null } = {}) {
    this.#base = base;
    this.dir = join(base, 'repository');
    this.keys = {
      root: [this.newKey('root-1'), this.newKey('root-2')],
      targets: [this.newKey('targets')],
      snapshot: [this.newKey('snapshot')],
      timestamp: [this.newKey('timestamp')],
    };
    const thresholds = { root: 2, targets: 1, snapshot: 1, timestamp: 1 };
    this.root = createRepository(this.dir, {
      keys: this.keys,
      thresholds,
      lifetimes: LIFETIMES,
      profile: options.profile ?? null,
      now: NOW,
    }).root;
  }

  newKey(name: string): NoteSigner {
    const path = join(this.#base, `${name}.key`);
    createSigningKey(path, `hq.example/${name}`);
    return loadSigner(path);
  }

  publish(
    version: number,
    options: {
      site?: string;
      environments?: string[];
      now?: number;
      bytes?: Uint8Array;
      signers?: RoleSigners;
      name?: string;
    } = {},
  ): Published {
    return publish(this.dir, {
      bundle: { name: options.name ?? 'base', version, bytes: options.bytes ?? bundleBytes(version) },
      site: options.site ?? SITE,
      environments: options.environments ?? ['production'],
      signers: options.signers ?? this.keys,
      lifetimes: LIFETIMES,
      now: options.now ?? NOW,
    });
  }

  /** Writes `version.root.json` with `keys`, signed by `signers`. */
  rotate(
    version: number,
    keys: RoleSigners,
    signers: readonly NoteSigner[],
    changes: { profile?: 'dev' | null; rootThreshold?: number } = {},
  ): Uint8Array {
    const thresholds = { root: changes.rootThreshold ?? 2, targets: 1, snapshot: 1, timestamp: 1 };
    const { bytes } = signRoot({
      version,
      keys,
      thresholds,
      signers,
      profile: changes.profile ?? null,
      now: NOW,
      lifetimes: LIFETIMES,
    });
    writeFileSync(this.path(`metadata/${version}.root.json`), bytes);
    return bytes;
  }

  verify(options: Partial<VerifyOptions> = {}) {
    return verifyUpdate({
      repositoryDir: this.dir,
      trustedRoot: this.root,
      site: SITE,
      now: NOW,
      expiry: 'enforce',
      ...options,
    });
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** The one file below `folder` whose name ends so. */
  find(folder: string, ending: string): string {
    const found = readdirSync(this.path(folder)).filter((name) => name.endsWith(ending));
    if (found.length !== 1) throw new Error(`${found.length} files end in ${ending}`);
    return `${folder}/${found[0]}`;
  }

  /** Changes the signed part of a metadata file and signs it again with `signer` when one is given. */
  edit(name: string, change: Edit, signer: NoteSigner | null = null): void {
    const metadata = JSON.parse(readFileSync(this.path(name), 'utf8')) as {
      signed: JsonObject;
      signatures: { keyid: string; sig: string }[];
    };
    if (typeof change === 'function') change(metadata.signed);
    else Object.assign(metadata.signed, change);
    if (signer !== null) {
      // Our files hold no text that TUF's canonical form and RFC 8785 write differently.
      metadata.signatures = [
        {
          keyid: keyOf(signer).keyID,
          sig: Buffer.from(signer.sign(canonicalBytes(metadata.signed))).toString('hex'),
        },
      ];
    }
    writeFileSync(this.path(name), JSON.stringify(metadata));
  }
}
