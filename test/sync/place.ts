import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { DEFAULT_SYNC_LIMITS, type SyncConfig } from '../../daemon/host/config/sync.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { type Judgement, type RoundReport, runRound } from '../../sync/round.ts';
import { SITE } from '../policy/publisher-world.ts';
import type { Certificates } from './certificates.ts';

/** The part of a site that sync sees: trust, inbox, outbox, its own directory; and a daemon that says what it is told to. */
export class Place {
  readonly paths: SitePaths;
  readonly #certificates: Certificates;
  judgement: Judgement | null = null;
  offered: string[] = [];
  now = 1_000;

  constructor(dir: string, root: Uint8Array, certificates: Certificates) {
    this.#certificates = certificates;
    this.paths = sitePaths(dir);
    for (const path of [dir, this.paths.trust, this.paths.inbox, this.paths.outbox]) mkdirSync(path);
    writeFileSync(join(this.paths.trust, 'root.json'), root);
  }

  config(mirror: string, changes: Partial<SyncConfig> = {}): SyncConfig {
    return {
      mirror,
      upstream: null,
      hosts: ['localhost'],
      ...this.#certificates.client,
      ca: this.#certificates.ca,
      schedule: '17 * * * *',
      jitterMs: 0,
      proxy: null,
      limits: DEFAULT_SYNC_LIMITS,
      witnesses: [],
      ...changes,
    };
  }

  round(config: SyncConfig, signal = new AbortController().signal): Promise<RoundReport> {
    const offer = async (path: string) => {
      this.offered.push(path);
      return this.judgement;
    };
    return runRound({ config, paths: this.paths, site: SITE, offer, now: () => this.now, signal });
  }

  /** Every file below a directory with its content. */
  files(dir = this.paths.root): Record<string, string> {
    const entries = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
    const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
    return Object.fromEntries(paths.map((path) => [relative(dir, path), readFileSync(path, 'latin1')]));
  }
}
