import type { Section } from './section.ts';

/** The scheduled link to headquarters. Whatever comes over it is verified elsewhere; this only says where to go and how much to take. */
export interface SyncConfig {
  /** URL of the signed policy repository: what lies under it is `metadata/` and `targets/`. Ends with a slash. */
  mirror: string;
  /** URL under which receipts and anchors are put and acknowledgements found; null carries nothing. Ends with a slash. */
  upstream: string | null;
  /** The only names of hosts that may be spoken to, the proxy apart. */
  hosts: readonly string[];
  /** PEM files: the client's certificate, its key (0600), and the only authority that servers may be certified by. */
  certificate: string;
  key: string;
  ca: string;
  /** Five cron fields, in UTC. */
  schedule: string;
  /** Each round starts later than scheduled by a random part of this, in ms: a thousand sites must not call at once. */
  jitterMs: number;
  /** `http://HOST:PORT` of a proxy that tunnels (CONNECT); null goes directly. */
  proxy: string | null;
  limits: SyncLimits;
  /** Witnesses that are asked to cosign anchors (C2SP tlog-witness). Whom to believe says trust/tlog-policy, not this. */
  witnesses: readonly SyncWitness[];
}

export interface SyncWitness {
  /** For the names of files; null takes that of the host. */
  name: string | null;
  /** Submission prefix: `add-checkpoint` lies under it. Ends with a slash. */
  url: string;
}

/** What one round takes before it gives up, per file and in total. */
export interface SyncLimits {
  file_bytes: number;
  total_bytes: number;
  file_seconds: number;
  total_seconds: number;
  files: number;
}

export const DEFAULT_SYNC_LIMITS: SyncLimits = {
  file_bytes: 4_194_304,
  total_bytes: 67_108_864,
  file_seconds: 300,
  total_seconds: 1_800,
  files: 1_000,
};

export const SYNC_SETTINGS: readonly string[] = [
  'mirror',
  'upstream',
  'hosts',
  'certificate',
  'key',
  'ca',
  'schedule',
  'jitter',
  'proxy',
  'limits',
  'witnesses',
];

const HTTPS_FOLDER = /^https:\/\/[a-z0-9.-]+(:[1-9]\d{0,4})?\/([A-Za-z0-9_~-][A-Za-z0-9._~-]*\/)*$/;
const FOLDER_WORDS =
  'an https URL in lower case that ends with a slash, such as "https://hq.example/holdfast/"';
const FILE = /^\/[^\0]*[^\0/]$/;
const HOST = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** The checked `sync` section of `holdfast.json`. Throws BoundaryError `config.*` naming the place and what to write. */
export function parseSync(section: Section): SyncConfig {
  const hosts = section.texts('hosts', HOST, 16, 'a list of names of hosts, such as ["hq.example"]');
  const config = {
    mirror: section.text('mirror', null, HTTPS_FOLDER, FOLDER_WORDS),
    upstream: section.optionalText('upstream', HTTPS_FOLDER, FOLDER_WORDS),
    hosts,
    certificate: section.text('certificate', null, FILE, 'the absolute path of a PEM file'),
    key: section.text('key', null, FILE, 'the absolute path of a PEM file'),
    ca: section.text('ca', null, FILE, 'the absolute path of a PEM file'),
    schedule: section.text(
      'schedule',
      '17 * * * *',
      /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/,
      'five cron fields, such as "17 * * * *" for every hour at minute 17 (UTC)',
    ),
    jitterMs: jitterOf(section),
    proxy: section.optionalText(
      'proxy',
      /^http:\/\/[a-z0-9.-]+:[1-9]\d{0,4}$/,
      'the proxy as "http://HOST:PORT"',
    ),
    limits: parseLimits(section.section('limits', Object.keys(DEFAULT_SYNC_LIMITS))),
    witnesses: parseWitnesses(section, hosts),
  };
  for (const name of ['mirror', 'upstream'] as const) {
    const url = config[name];
    // A misspelt host is found here, not by whoever registered the misspelling.
    if (url !== null && !hosts.includes(hostOf(url)))
      throw section.wrong(name, `a URL whose host is listed in hosts (${hosts.join(', ')})`);
  }
  return config;
}

function parseWitnesses(section: Section, hosts: readonly string[]): SyncWitness[] {
  const wanted = 'a list of at most 16 witnesses, such as [{"url": "https://witness.example/"}]';
  const witnesses = section.list('witnesses', ['name', 'url'], 16, wanted).map((one) => {
    const url = one.text('url', null, HTTPS_FOLDER, FOLDER_WORDS);
    if (!hosts.includes(hostOf(url)))
      throw one.wrong('url', `a URL whose host is listed in sync.hosts (${hosts.join(', ')})`);
    return { url, name: one.optionalText('name', /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'a short name') };
  });
  if (new Set(witnesses.map(({ url }) => url)).size < witnesses.length)
    throw section.wrong('witnesses', 'each witness once');
  return witnesses;
}

function hostOf(url: string): string {
  return /^https:\/\/([^:/]+)/.exec(url)?.[1] ?? '';
}

function jitterOf(section: Section): number {
  const text = section.text('jitter', '10m', /^\d{1,5}[smh]$/, 'a duration of at most 24h, such as "10m"');
  const ms = Number(text.slice(0, -1)) * UNIT_MS[text.slice(-1) as keyof typeof UNIT_MS];
  if (ms > 24 * UNIT_MS.h) throw section.wrong('jitter', 'a duration of at most 24h, such as "10m"');
  return ms;
}

function parseLimits(section: Section): SyncLimits {
  const limit = (key: keyof SyncLimits, max: number) => section.count(key, DEFAULT_SYNC_LIMITS[key], max);
  return {
    file_bytes: limit('file_bytes', 16_777_216),
    total_bytes: limit('total_bytes', 1_073_741_824),
    file_seconds: limit('file_seconds', 86_400),
    total_seconds: limit('total_seconds', 86_400),
    files: limit('files', 10_000),
  };
}
