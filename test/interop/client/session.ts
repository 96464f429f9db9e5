import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Updater } from 'tuf-js';
import { writeDurable } from '../../../daemon/host/durable-file.ts';
import { openClient } from '../../../daemon/policy/update-client.ts';
import { HttpFetcher } from './http.ts';

/** A client's state between runs, and where its repository is. */
export interface Session {
  /** Trusted metadata by role name (`root.json`, `timestamp.json`, …). */
  metadataDir: string;
  metadataUrl: string;
  now: number;
}

/** TUF §5.3 to §5.6: everything up to the top-level targets. Rejects with what was refused. */
export async function refreshMetadata(session: Session): Promise<void> {
  await inStaging(session, {}, (updater) => updater.refresh());
}

/**
 * TUF §5.6.7 and §5.7 for each name in turn, with one client. A target that lies in `dir` already and still is the one
 * that is signed is not fetched again.
 */
export async function download(
  session: Session,
  targets: { names: readonly string[]; baseUrl: string; dir: string },
): Promise<void> {
  const where = { targetDir: targets.dir, targetBaseUrl: targets.baseUrl };
  await inStaging(session, where, async (updater) => {
    await updater.refresh();
    for (const name of targets.names) {
      const info = await updater.getTargetInfo(name);
      if (info === undefined) throw new Error(`no role that is trusted for ${name} lists it`);
      if ((await updater.findCachedTarget(info)) === undefined) await updater.downloadTarget(info);
    }
  });
}

/**
 * Works on a copy and takes over what was verified, each file whole: also when a later step refused, because each step's
 * result counts from the moment it was verified (TUF §5.3.8, §5.4.5).
 */
async function inStaging(
  { metadataDir, metadataUrl, now }: Session,
  where: { targetDir?: string; targetBaseUrl?: string },
  work: (updater: Updater) => Promise<void>,
): Promise<void> {
  const staging = mkdtempSync(join(tmpdir(), 'tuf-client-'));
  try {
    cpSync(metadataDir, staging, { recursive: true });
    const updater = openClient({
      staging,
      fetcher: new HttpFetcher(),
      metadataBaseUrl: metadataUrl,
      now,
      maxDelegations: 32,
      ...where,
    });
    try {
      await work(updater);
    } finally {
      for (const file of readdirSync(staging))
        writeDurable(join(metadataDir, file), readFileSync(join(staging, file)), 0o644);
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
