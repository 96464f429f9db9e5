import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { JsonObject } from '../../formats/json.ts';
import { askKernelClock } from '../../host/kernel-clock.ts';
import { authorityFile, readPem } from '../../identity/files.ts';
import { type Check, fail, type Patient, pass, unknown, warn } from './check.ts';

const DAY_MS = 86_400_000;
const ANCHOR_DAYS = 8;
/** A certificate authority that ends sooner than this wants somebody's attention. */
const AUTHORITY_DAYS = 90;
/** Certificates without an end say year 9999 (RFC 5280 §4.1.2.5). */
const NEVER_DAYS = 365_000;
const ASK = 'Start the daemon, then repeat.';

/** What gets old: keys, anchors, backups, policy; and the clock by which that is told. `now` in Unix ms. */
export async function checkAges(patient: Patient, now = Date.now()): Promise<Check[]> {
  return [
    await checkTimeSource(),
    checkDiskReserve(patient),
    checkLedgerKey(patient),
    ...checkAuthority(patient, now),
    checkAnchors(patient, now),
    checkBackup(patient, now),
    ...checkFreshness(patient),
  ];
}

async function checkTimeSource(): Promise<Check> {
  const id = 'time.source';
  const synchronized = await askKernelClock();
  const hardware = existsSync('/sys/class/rtc/rtc0') ? 'a hardware clock' : 'no hardware clock';
  if (synchronized === null)
    return unknown(id, 'the kernel cannot be asked about its clock', 'Look at the clock yourself: date -u');
  if (synchronized) return pass(id, `something disciplines the kernel's clock; ${hardware}`);
  return warn(
    id,
    `nothing disciplines the kernel's clock, and there is ${hardware}`,
    'Where there is no NTP, PTP or GPS, people state the time: holdfast time --help. Witnesses and policy updates carry it too.',
  );
}

function checkDiskReserve({ site: { config }, status: { daemon } }: Patient): Check {
  const id = 'disk.reserve';
  const disk = daemon?.disk as JsonObject | undefined;
  if (disk === undefined) return unknown(id, 'only the daemon knows its reserve', ASK);
  const { held_bytes: held, free_bytes: free } = disk;
  const mib = (bytes: unknown): string => `${Math.floor(Number(bytes ?? 0) / 1_048_576)} MiB`;
  if (typeof held === 'number' && held >= config.disk.reserve_bytes)
    return pass(id, `${mib(held)} are held back for a full disk, ${mib(free)} are free`);
  const fix =
    'Free space on the disk of state/; the reserve fills up by itself, a little each second (docs/operate/disk-full.md).';
  return warn(id, `${mib(held)} of ${mib(config.disk.reserve_bytes)} are held back for a full disk`, fix);
}

function checkLedgerKey({ status: { daemon } }: Patient): Check {
  const id = 'keys.ledger_age';
  const keys = daemon?.keys as JsonObject | null | undefined;
  if (keys === undefined || keys === null || typeof keys.age_days !== 'number')
    return unknown(id, 'the age of the ledger key is known to the daemon only', ASK);
  const { age_days: age, max_age_days: max } = keys;
  const found = `the ledger key is ${age} days old; ${max === null ? 'no age is set for it' : `it may get ${max}`}`;
  return typeof max === 'number' && age > max
    ? warn(id, found, 'holdfast keys rotate, and take the new trust file to headquarters')
    : pass(id, found);
}

function checkAuthority({ site: { paths } }: Patient, now: number): Check[] {
  const id = 'keys.tls_authority';
  const path = authorityFile(paths);
  if (!existsSync(path)) return [];
  const ends = Date.parse(new X509Certificate(readPem(path)).validTo);
  const days = Math.floor((ends - now) / DAY_MS);
  if (days > NEVER_DAYS) return [pass(id, 'the certificate authority of the site does not expire')];
  const found = `the certificate authority of the site is valid for ${days} more days`;
  if (days > AUTHORITY_DAYS) return [pass(id, found)];
  const fix = 'Make a new one before it ends (docs/operate/callers.md): nobody is let in afterwards.';
  return [(days > 0 ? warn : fail)(id, found, fix)];
}

function checkAnchors({ site: { config }, status: { daemon } }: Patient, now: number): Check {
  const id = 'anchor.age';
  const anchors = daemon?.anchors as { departed?: { made_at?: unknown } | null } | null | undefined;
  if (anchors === undefined || anchors === null)
    return unknown(id, 'only the daemon knows which anchors left', ASK);
  const at = anchors.departed?.made_at;
  const fix = 'Take one to a medium: holdfast anchor export -o DIR';
  // Nobody expects a site to try things out to tell others about its history.
  const say = config.profile === 'dev' ? pass : warn;
  if (typeof at !== 'string') return said(say, id, 'no anchor is known outside this site', fix);
  const days = Math.floor((now - Date.parse(at)) / DAY_MS);
  const found = `the newest anchor that is known outside was made ${days} days ago`;
  return days > ANCHOR_DAYS ? said(say, id, found, fix) : pass(id, found);
}

function said(make: typeof warn | typeof pass, id: string, found: string, fix: string): Check {
  return make === pass ? pass(id, found) : warn(id, found, fix);
}

function checkBackup({ site: { config }, status: { daemon } }: Patient, now: number): Check {
  const id = 'backup.age';
  const fix =
    'Set /backup in holdfast.json, or make one: holdfast backup (docs/operate/backup-and-restore.md).';
  if (daemon === null) return unknown(id, 'only the daemon knows its backups', ASK);
  const at = (daemon.backup as JsonObject | null | undefined)?.at;
  const say = config.profile === 'dev' ? pass : warn;
  if (typeof at !== 'string') return said(say, id, 'no backup was made yet', fix);
  const after = config.backup?.warnAfterMs ?? 8 * DAY_MS;
  const age = now - Date.parse(at);
  const found = `the newest backup is ${Math.floor(age / DAY_MS)} days old`;
  return age > after ? said(say, id, found, fix) : pass(id, found);
}

function checkFreshness({ status: { daemon } }: Patient): Check[] {
  const id = 'policy.freshness';
  if (daemon === null) return [unknown(id, 'only the daemon knows how old its policy is', ASK)];
  const policy = daemon.policy as
    | { environments?: { environment: string; version: string; freshness: { step: string } | null }[] }
    | null
    | undefined;
  const fix = 'Bring a newer policy from headquarters: holdfast import PATH';
  const environments = policy?.environments ?? [];
  if (environments.length === 0) return [fail(id, 'no policy is in force: everything is denied', fix)];
  return environments.map(({ environment, version, freshness }) => {
    const found = `${environment} runs ${version}: ${freshness === null ? 'its policy sets no age' : freshness.step}`;
    if (freshness === null || freshness.step === 'fresh') return pass(id, found);
    return freshness.step === 'warn' ? warn(id, found, fix) : fail(id, found, fix);
  });
}
