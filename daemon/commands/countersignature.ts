import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { DsseEnvelope } from '../formats/dsse.ts';
import { verifyCountersignatures } from '../formats/trust-envelope.ts';
import { siteDir } from '../host/config.ts';
import { readBounded } from '../host/durable-file.ts';
import { sitePaths } from '../host/site.ts';
import type { SiteOptions } from './access.ts';
import { plain } from './render/text.ts';
import { readSealedTrust, type TrustFile } from './trust.ts';

/** Options of every command that takes a trust file. */
export interface TrustOptions extends SiteOptions {
  trust?: string;
  root?: string[];
}

/** Whether headquarters stands behind a trust file, as far as can be told here. */
export type Countersignature =
  | { state: 'verified'; signers: string[]; root_version: number }
  | { state: 'absent' }
  /** There are signatures, and nothing here says whose count. */
  | { state: 'unchecked' };

/** A trust file that may be used, and what is known about where it comes from. */
export interface JudgedTrust {
  trust: TrustFile;
  countersignature: Countersignature;
}

const ROOT_MAX_BYTES = 512_000;

/** Adds `--root`, once for each version. */
export function withRootOption(command: Command): Command {
  return command.option(
    '--root <file>',
    "headquarters' root.json, to check the trust file's countersignature; repeat it for the versions that follow",
    (file: string, files: string[] = []) => [...files, file],
  );
}

/**
 * Reads a trust file and holds its countersignatures against `--root`, else against the root that the site at hand has
 * pinned. Throws BoundaryError `trust.*`: a countersignature that is wrong is an error, none is not.
 */
export async function readJudgedTrust(path: string, options: TrustOptions): Promise<JudgedTrust> {
  const { trust, envelope } = readSealedTrust(path);
  if (envelope === null) return { trust, countersignature: { state: 'absent' } };
  const roots = options.root ?? [];
  const pinned = roots.length === 0 ? pinnedRoot(options) : null;
  const files = pinned === null ? roots : [pinned];
  if (files.length === 0) return { trust, countersignature: { state: 'unchecked' } };
  try {
    return { trust, countersignature: await judge(envelope, files) };
  } catch (error) {
    // A site that was pinned long ago need not know who signs at headquarters today.
    const stranger = error instanceof BoundaryError && error.code === 'trust.unknown_countersigner';
    if (pinned === null || !stranger) throw error;
    return { trust, countersignature: { state: 'unchecked' } };
  }
}

async function judge(envelope: DsseEnvelope, files: readonly string[]): Promise<Countersignature> {
  // What reads TUF metadata is large, and seldom needed here.
  const { countersignersOf, followRoots } = await import('../policy/root-chain.ts');
  const root = followRoots(files.map((file) => readBounded(file, ROOT_MAX_BYTES)));
  const signers = verifyCountersignatures(envelope, countersignersOf(root));
  return { state: 'verified', signers: signers.map(({ name }) => name), root_version: root.version };
}

function pinnedRoot(options: SiteOptions): string | null {
  const path = join(sitePaths(siteDir(options.dir, process.env)).trust, 'root.json');
  return existsSync(path) ? path : null;
}

/** In one sentence, for people. */
export function countersignatureWords(countersignature: Countersignature): string {
  switch (countersignature.state) {
    case 'verified': {
      const { signers, root_version } = countersignature;
      return `countersigned by headquarters: ${plain(signers.join(', '))} (root version ${root_version})`;
    }
    case 'absent':
      return 'not countersigned by headquarters: as good as the way on which it came';
    case 'unchecked':
      return 'countersigned, but it was not checked by whom: give --root root.json';
  }
}
