import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json } from '../formats/json.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { assertAppliance } from './appliance.ts';
import { ANCHORS_SETTINGS, type AnchorsConfig, parseAnchors } from './config/anchors.ts';
import { BACKUP_SETTINGS, type BackupConfig, parseBackup } from './config/backup.ts';
import { COPY_SETTINGS, type CopyConfig, parseCopy } from './config/copy.ts';
import { DISK_SETTINGS, type DiskConfig, parseDisk } from './config/disk.ts';
import { KEYS_SETTINGS, type KeysConfig, parseKeys } from './config/keys.ts';
import { PEERS_SETTINGS, type PeersConfig, parsePeers } from './config/peers.ts';
import {
  INTEGRITY_SETTINGS,
  type IntegrityConfig,
  parseIntegrity,
  parseRetention,
  RETENTION_SETTINGS,
  type RetentionConfig,
} from './config/retention.ts';
import { parseSecrets, SECRETS_SETTINGS, type SecretsConfig } from './config/secrets.ts';
import { Section } from './config/section.ts';
import { parseSiem, SIEM_SETTINGS, type SiemConfig } from './config/siem.ts';
import { parseSync, SYNC_SETTINGS, type SyncConfig } from './config/sync.ts';
import { parseWatch, WATCH_SETTINGS, type WatchConfig } from './config/watch.ts';
import { readBounded } from './durable-file.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import { type Profile, sitePaths } from './site.ts';

/** Local settings of a site (`holdfast.json`). Nothing in it can widen what signed policy allows. */
export interface SiteConfig {
  version: 1;
  /** The site's name everywhere: a schema-less URL. */
  site: string;
  profile: Profile;
  sockets: {
    /** Group that may connect; null keeps the socket's own group. */
    group: string | null;
    /** File mode of the sockets, e.g. 0o660. */
    mode: number;
  };
  gateway: {
    /** Audience that permits must name. */
    audience: string;
    /** PATH of the tools, absolute directories separated by colons. */
    path: string;
  };
  /** How callers of the sockets are known. */
  peers: PeersConfig;
  limits: SiteLimits;
  /** What is kept of the disk for when it is full. */
  disk: DiskConfig;
  /** Heartbeat and self-test. */
  watch: WatchConfig;
  /** What a SIEM is told. */
  siem: SiemConfig;
  /** When tree heads leave the site. */
  anchors: AnchorsConfig;
  retention: RetentionConfig;
  integrity: IntegrityConfig;
  /** How old keys may get. */
  keys: KeysConfig;
  log: { level: LogLevel };
  /** Where keys and credentials come from. */
  secrets: SecretsConfig;
  /** Actor that the command line names when none is given; null: none is sent (a recorded denial). */
  operator_actor: string | null;
  /** The scheduled link to headquarters; null at a site that has none. */
  sync: SyncConfig | null;
  /** The second copy of the ledger; null at a site that keeps none. */
  copy: CopyConfig | null;
  /** Backups by schedule; null at a site that makes them by hand only. */
  backup: BackupConfig | null;
}

/** What one daemon accepts before it says "later". */
export interface SiteLimits {
  body_bytes: number;
  json_depth: number;
  connections: number;
  in_flight: number;
  in_flight_per_client: number;
  requests_per_second_per_client: number;
}

export const DEFAULT_LIMITS: SiteLimits = {
  body_bytes: 65_536,
  json_depth: 16,
  connections: 256,
  in_flight: 4_096,
  in_flight_per_client: 1_024,
  requests_per_second_per_client: 100_000,
};

const DEFAULT_TOOL_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const INSTALLED_DIR = '/var/lib/holdfast';
const CHECKOUT_DIR = '.holdfast';
const MAX_CONFIG_BYTES = 65_536;
const PROFILES: readonly Profile[] = ['dev', 'node', 'appliance'];

/** Reads and checks `holdfast.json` of the site in `dir`. Throws BoundaryError `config.*` naming the place and what to write. */
export function loadConfig(dir: string): SiteConfig {
  const path = sitePaths(dir).config;
  const text = new TextDecoder('utf-8', { fatal: false }).decode(readBounded(path, MAX_CONFIG_BYTES));
  return parseConfig(text, path);
}

/** Everything at the top of the file. */
const SETTINGS: readonly string[] = [
  'version',
  'site',
  'profile',
  'sockets',
  'gateway',
  'peers',
  'limits',
  'disk',
  'watch',
  'keys',
  'anchors',
  'siem',
  'retention',
  'integrity',
  'log',
  'operator_actor',
  'secrets',
  'sync',
  'copy',
  'backup',
];

/** The checked settings in `text`; `path` is for messages. Unknown keys are refused: a misspelt limit must not vanish. */
export function parseConfig(text: string, path: string): SiteConfig {
  const top = new Section(parseJson(text, path), path, '');
  top.only(SETTINGS);
  if (top.value('version') !== 1) throw top.wrong('version', 'the number 1');
  const sockets = top.section('sockets', ['group', 'mode']);
  const gateway = top.section('gateway', ['audience', 'path']);
  const profile = top.choice('profile', PROFILES, null);
  const config: SiteConfig = {
    version: 1,
    site: siteOrigin(top.text('site', null, /^/, 'the origin of the site')),
    profile,
    sockets: {
      group: sockets.optionalText('group', /^[a-z_][a-z0-9_-]{0,31}$/, 'the name of a group'),
      mode: Number.parseInt(
        sockets.text(
          'mode',
          '0660',
          /^0[0-7][0-7]0$/,
          'an octal mode without access for others, such as "0660"',
        ),
        8,
      ),
    },
    gateway: {
      audience: gateway.text('audience', 'gateway', /^[a-z][a-z0-9_.-]{0,63}$/, 'a short lower-case name'),
      path: gateway.text(
        'path',
        DEFAULT_TOOL_PATH,
        /^\/[^:\0]*(:\/[^:\0]*)*$/,
        'absolute directories separated by colons',
      ),
    },
    peers: parsePeers(top.section('peers', PEERS_SETTINGS), profile),
    limits: parseLimits(top.section('limits', Object.keys(DEFAULT_LIMITS))),
    disk: parseDisk(top.section('disk', DISK_SETTINGS), profile),
    watch: parseWatch(top.section('watch', WATCH_SETTINGS), profile),
    siem: parseSiem(top.section('siem', SIEM_SETTINGS)),
    anchors: parseAnchors(top.section('anchors', ANCHORS_SETTINGS), profile),
    retention: parseRetention(top.section('retention', RETENTION_SETTINGS), profile),
    integrity: parseIntegrity(top.section('integrity', INTEGRITY_SETTINGS), profile),
    keys: parseKeys(top.section('keys', KEYS_SETTINGS)),
    log: { level: top.section('log', ['level']).choice('level', LOG_LEVELS, 'info') },
    secrets: parseSecrets(top.section('secrets', SECRETS_SETTINGS)),
    operator_actor: top.optionalText(
      'operator_actor',
      /^[a-z][a-z0-9:_.@-]{0,127}$/,
      'the id of a principal',
    ),
    sync: top.value('sync') === undefined ? null : parseSync(top.section('sync', SYNC_SETTINGS)),
    backup: top.value('backup') === undefined ? null : parseBackup(top.section('backup', BACKUP_SETTINGS)),
    copy: top.value('copy') === undefined ? null : parseCopy(top.section('copy', COPY_SETTINGS)),
  };
  assertAppliance(config, path);
  return config;
}

/** `holdfast.json` as `init` writes it: what has no default, and what people look for. */
export function formatConfig(settings: {
  site: string;
  profile: Profile;
  operatorActor: string | null;
}): string {
  const config = {
    version: 1,
    site: settings.site,
    profile: settings.profile,
    ...(settings.operatorActor === null ? {} : { operator_actor: settings.operatorActor }),
    sockets: { mode: '0660' },
    gateway: { audience: 'gateway', path: DEFAULT_TOOL_PATH },
    limits: {},
    log: { level: 'info' },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * A site's origin: a schema-less URL, lower case, no port, no empty or dotted segments (`outpost-7.example`,
 * `example.org/site-7`). It becomes part of file names and log origins. Else BoundaryError `site.bad_origin`.
 */
export function siteOrigin(text: string): string {
  const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
  const shape = new RegExp(`^${label}(\\.${label})*(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*$`);
  if (text.length > 200 || !shape.test(text) || text.includes('..')) {
    throw new BoundaryError(
      'site.bad_origin',
      'A site is named by a schema-less URL in lower case, such as outpost-7.example or example.org/outpost-7 (letters, digits, dots, hyphens; no scheme, port or trailing slash).',
    );
  }
  return text;
}

/**
 * The site directory that a command means: `--dir`, else `HOLDFAST_DIR`, else /var/lib/holdfast where one is installed,
 * else ./.holdfast. Says nothing about whether a site is there.
 */
export function siteDir(option: string | undefined, env: Record<string, string | undefined>): string {
  const named = option ?? env.HOLDFAST_DIR;
  if (named !== undefined && named !== '') return resolve(named);
  return existsSync(sitePaths(INSTALLED_DIR).config) ? INSTALLED_DIR : resolve(CHECKOUT_DIR);
}

/** The same, for commands that need a site: throws BoundaryError `site.not_found` where none is. Never makes one. */
export function findSiteDir(option: string | undefined, env: Record<string, string | undefined>): string {
  const dir = siteDir(option, env);
  if (existsSync(sitePaths(dir).config)) return dir;
  throw new BoundaryError(
    'site.not_found',
    `There is no site in ${dir} (no holdfast.json there); nothing was done. Name it with --dir or HOLDFAST_DIR, or make one: holdfast init --site ORIGIN --dir ${dir}`,
    { at: dir },
  );
}

function parseJson(text: string, path: string): Json {
  try {
    return parseStrict(text, { maxBytes: MAX_CONFIG_BYTES, maxDepth: 4 });
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(cause.code, `${path}: ${cause.message} Nothing was started.`, {
      at: path,
      cause,
    });
  }
}

function parseLimits(section: Section): SiteLimits {
  const limit = (key: keyof SiteLimits, max: number) => section.count(key, DEFAULT_LIMITS[key], max);
  return {
    body_bytes: limit('body_bytes', 65_536),
    json_depth: limit('json_depth', 32),
    connections: limit('connections', 10_000),
    in_flight: limit('in_flight', 100_000),
    in_flight_per_client: limit('in_flight_per_client', 100_000),
    requests_per_second_per_client: limit('requests_per_second_per_client', 1_000_000),
  };
}
