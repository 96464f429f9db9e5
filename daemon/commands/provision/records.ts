import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseProvisioning } from '../../formats/provisioning.ts';
import { makeDir, readBounded, writeDurable } from '../../host/durable-file.ts';

/*
 * What headquarters remembers of each site, in `sites/` of the publisher's directory: the list that it was provisioned with,
 * and its trust file under countersignature.
 */

const LIST_MAX_BYTES = 524_288;

/** Where what is remembered of a site lies. */
export function siteRecords(publisher: string, site: string): { provisioning: string; trust: string } {
  const name = join(publisher, 'sites', site.replaceAll('/', '_'));
  return { provisioning: `${name}.provision.json`, trust: `${name}.trust` };
}

/** Remembers the list of a folder that was handed out; a later one for the same site takes its place. */
export function rememberProvisioning(publisher: string, site: string, envelope: Uint8Array): void {
  makeDir(join(publisher, 'sites'), 0o755);
  writeDurable(siteRecords(publisher, site).provisioning, envelope, 0o644);
}

/** Hex digest of the list that the site was provisioned with last; null when it never was. */
export function rememberedProvisioning(publisher: string, site: string): string | null {
  const { provisioning } = siteRecords(publisher, site);
  if (!existsSync(provisioning)) return null;
  return parseProvisioning(readBounded(provisioning, LIST_MAX_BYTES)).digest;
}
