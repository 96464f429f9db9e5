import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { parseVkey } from '../../daemon/formats/signed-note.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { type VerifyOptions, verifyUpdate } from '../../daemon/policy/verify-update.ts';
import { composePublication, type Publication, writePublication } from '../../sync/repository/finish.ts';
import {
  type Proposal,
  proposeDelegation,
  proposeFirst,
  proposePublication,
} from '../../sync/repository/propose.ts';
import { repositoryDir } from '../../sync/repository/publisher.ts';
import { namedKey, type RoleKeys } from '../../sync/repository/roles.ts';
import { LIFETIMES, stagingDir } from '../../sync/repository/settings.ts';
import { signStaged } from '../../sync/repository/signatures.ts';
import { readStaging } from '../../sync/repository/staging.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, NOW, SITE } from '../policy/publisher-world.ts';

/** Headquarters with people: a publisher by ceremony, and the keys of everybody by name. */
export class CeremonyWorld {
  readonly dir: string;
  /** When everything here happens, unless another time is given. */
  readonly now: number;
  readonly #base = temporaryDir();
  readonly #keys = new Map<string, NoteSigner>();

  /** Root and targets 2 of alice, bob, carol; snapshot and timestamp by `online`. The first root is published. */
  constructor(now = NOW) {
    this.now = now;
    this.dir = join(this.#base, 'hq');
    const people = this.role(['alice', 'bob', 'carol'], 2);
    const online = this.role(['online'], 1);
    proposeFirst(this.dir, {
      roles: { root: people, targets: people, snapshot: online, timestamp: online },
      lifetimes: LIFETIMES,
      now,
    });
    this.ceremony(['alice', 'bob']);
  }

  get repository(): string {
    return repositoryDir(this.dir);
  }

  get staging(): string {
    return stagingDir(this.dir);
  }

  get root(): Uint8Array {
    return readFileSync(join(this.repository, 'metadata', '1.root.json'));
  }

  /** A person's key, made when first asked for. */
  key(name: string): NoteSigner {
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const path = join(this.#base, `${name}.key`);
    createSigningKey(path, name);
    const signer = loadSigner(path);
    this.#keys.set(name, signer);
    return signer;
  }

  role(names: readonly string[], threshold: number): RoleKeys {
    return { keys: names.map((name) => namedKey(parseVkey(this.key(name).vkey))), threshold };
  }

  propose(
    version: number,
    options: { site?: string; sites?: string[]; environments?: string[]; now?: number } = {},
  ): Proposal {
    const site = options.site ?? SITE;
    return proposePublication(this.dir, {
      bundle: { name: 'base', version, bytes: bundleBytes(version, { sites: options.sites ?? [site] }) },
      site,
      environments: options.environments ?? ['production'],
      now: options.now ?? this.now,
    });
  }

  delegate(region: string, sites: string[], signers: string[] | null, now = this.now): void {
    const keys = signers === null ? null : this.role(signers, Math.min(2, signers.length));
    proposeDelegation(this.dir, { region, sites, keys, now });
  }

  sign(name: string, dir = this.staging): string[] {
    return signStaged(readStaging(dir), this.key(name));
  }

  /** Everybody named signs, then it is published. */
  ceremony(names: readonly string[], options: { now?: number; online?: string[] } = {}): Publication {
    for (const name of names) this.sign(name);
    return this.finish(options);
  }

  finish({ now = this.now, online = ['online'] }: { now?: number; online?: string[] } = {}): Publication {
    const publication = composePublication(this.dir, { signers: online.map((name) => this.key(name)), now });
    writePublication(this.dir, publication);
    return publication;
  }

  /** A copy of the staging area, as on a stick. */
  stick(): string {
    const copy = join(temporaryDir(), 'staging');
    cpSync(this.staging, copy, { recursive: true });
    return copy;
  }

  verify(options: Partial<VerifyOptions> = {}) {
    return verifyUpdate({
      repositoryDir: this.repository,
      trustedRoot: this.root,
      site: SITE,
      now: this.now,
      expiry: 'enforce',
      ...options,
    });
  }
}
