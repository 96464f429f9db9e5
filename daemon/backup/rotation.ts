import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { syncDir } from '../host/durable-file.ts';

/*
 * Scheduled backups in their directory: `holdfast-SITE-YYYYMMDDTHHMMSSZ.tar.zst.age`. Names sort as times do. Files of any
 * other name are somebody else's and are never touched.
 */

const SUFFIX = '.tar.zst.age';
/** A backup takes minutes: what is half written for longer was left by a crash. */
const STALE_MS = 24 * 3_600_000;

/** Name of the backup made at an instant (Unix ms). */
export function backupName(site: string, at: number): string {
  const stamp = new Date(at)
    .toISOString()
    .replace(/\.\d{3}/, '')
    .replaceAll(/[-:]/g, '');
  return `${prefixOf(site)}${stamp}${SUFFIX}`;
}

/** The backups of a site that were made by schedule, oldest first. */
export function backupsIn(directory: string, site: string): string[] {
  const prefix = prefixOf(site);
  return readdirSync(directory)
    .filter(
      (name) => name.startsWith(prefix) && /^\d{8}T\d{6}Z\.tar\.zst\.age$/.test(name.slice(prefix.length)),
    )
    .sort();
}

/** Removes all but the newest `keep`, and what crashes left half written. Returns the names of the backups removed. */
export function rotate(directory: string, site: string, keep: number, now: number): string[] {
  const surplus = backupsIn(directory, site).slice(0, -keep);
  for (const name of [...surplus, ...leftovers(directory, site, now)]) unlinkSync(join(directory, name));
  syncDir(directory);
  return surplus;
}

function leftovers(directory: string, site: string, now: number): string[] {
  const prefix = `.${prefixOf(site)}`;
  return readdirSync(directory).filter(
    (name) =>
      name.startsWith(prefix) &&
      /\.tar\.zst\.age\.[0-9a-f]{12}\.tmp$/.test(name) &&
      now - lstatSync(join(directory, name)).mtimeMs > STALE_MS,
  );
}

function prefixOf(site: string): string {
  return `holdfast-${site.replaceAll('/', '_')}-`;
}
