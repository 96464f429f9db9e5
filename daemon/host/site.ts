import { join } from 'node:path';

/** Where everything of a site lies under its directory (contract: "Running it"; installed paths differ by config only). */
export interface SitePaths {
  root: string;
  /** Local settings, read by every role; can never widen what policy allows. */
  config: string;
  /** Public: `root.json` (pinned policy root), `ledger.vkey`, `tlog-policy`. */
  trust: string;
  /** 0700, the daemon's alone. */
  state: string;
  ledger: string;
  head: string;
  /** Index for searches; may be deleted at any time. */
  search: string;
  /** Space kept back for when the disk is full. */
  reserve: string;
  keys: string;
  /** Content-addressed bundles `bundles/<sha256>.json` and applied updates `updates/<id>/`. */
  policy: string;
  /** 0700, the gateway's alone. */
  gateway: string;
  /** 0700, the sync process's alone: what it sent already. */
  sync: string;
  run: string;
  inbox: string;
  outbox: string;
  /** Dev profile only: the local 1-of-1 publisher. */
  publisher: string;
}

/** The paths of the site in `root`. Says nothing about what is there. */
export function sitePaths(root: string): SitePaths {
  const state = join(root, 'state');
  return {
    root,
    config: join(root, 'holdfast.json'),
    trust: join(root, 'trust'),
    state,
    ledger: join(state, 'ledger.sqlite'),
    head: join(state, 'head.sqlite'),
    search: join(state, 'search.sqlite'),
    reserve: join(state, 'reserve'),
    keys: join(state, 'keys'),
    policy: join(state, 'policy'),
    gateway: join(root, 'gateway'),
    sync: join(root, 'sync'),
    run: join(root, 'run'),
    inbox: join(root, 'inbox'),
    outbox: join(root, 'outbox'),
    publisher: join(root, 'publisher'),
  };
}

export type Profile = 'dev' | 'node' | 'appliance';
