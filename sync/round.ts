import { join } from 'node:path';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import { parseStrict } from '../daemon/formats/strict-json.ts';
import type { SyncConfig } from '../daemon/host/config/sync.ts';
import { makeDir, readBounded, writeDurable } from '../daemon/host/durable-file.ts';
import { readSecretFile } from '../daemon/host/secret-file.ts';
import type { SitePaths } from '../daemon/host/site.ts';
import { type Carried, carryOutbox } from './carry.ts';
import { Budget } from './download.ts';
import { Link } from './link.ts';
import { mirrorRepository } from './mirror.ts';
import { askWitnesses, type Witnessed } from './witness.ts';

/** What the daemon made of a mirror: in force, accepted and waiting (`held`), or refused; null when it could not be asked and the mirror waits in inbox. */
export type Judgement =
  | { applied: true; unchanged: boolean }
  | { applied: false; held?: true; code: string; reason: string };

export interface RoundOptions {
  config: SyncConfig;
  paths: SitePaths;
  site: string;
  /** Asks the daemon to import the mirror at this path. Resolves with null when it cannot be reached. */
  offer: (path: string) => Promise<Judgement | null>;
  now: () => number;
  signal: AbortSignal;
}

export interface RoundReport {
  /** `new`: differs from what was offered before; null when there is no whole mirror. */
  mirror: { path: string; digest: string; new: boolean } | null;
  /** Null when nothing was offered, or nobody could take it. */
  imported: Judgement | null;
  carried: Carried | null;
  /** Empty when none is configured. */
  witnessed: Omit<Witnessed, 'failure'>[];
  /** What went wrong, by code; each part of a round is tried whatever became of the others. */
  failures: { code: string; message: string }[];
}

const PEM_MAX_BYTES = 262_144;
const ROOT_MAX_BYTES = 4_194_304;
/** A refusal may have been the clock's fault: the same files are offered again once a day. */
const OFFER_AGAIN_MS = 86_400_000;

/**
 * One round: mirror the repository → offer it to the daemon → carry outbox upstream and acknowledgements back → have
 * witnesses cosign the newest anchor. Throws only for what is wrong on this side before anything is sent
 * (`sync.bad_credentials`, `file.*`, `secret.*`).
 */
export async function runRound(options: RoundOptions): Promise<RoundReport> {
  const { config, paths, signal } = options;
  makeDir(paths.sync, 0o700);
  const link = openLink(config);
  const report: RoundReport = { mirror: null, imported: null, carried: null, witnessed: [], failures: [] };
  try {
    await part(report, () => bring(options, link, report));
    if (config.upstream !== null && !signal.aborted) await part(report, () => carry(options, link, report));
    if (config.witnesses.length > 0 && !signal.aborted)
      await part(report, () => haveCosigned(options, link, report));
  } finally {
    link.close();
  }
  return report;
}

function openLink({ hosts, proxy, certificate, key, ca }: SyncConfig): Link {
  return new Link({
    hosts,
    proxy,
    certificate: readBounded(certificate, PEM_MAX_BYTES),
    key: readSecretFile(key, PEM_MAX_BYTES),
    ca: readBounded(ca, PEM_MAX_BYTES),
  });
}

async function part(report: RoundReport, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    report.failures.push({ code: error.code, message: error.message });
  }
}

async function bring(
  { config, paths, site, offer, now, signal }: RoundOptions,
  link: Link,
  report: RoundReport,
) {
  const { path, digest } = await mirrorRepository({
    link,
    url: config.mirror,
    inbox: paths.inbox,
    site,
    pinnedRoot: readBounded(join(paths.trust, 'root.json'), ROOT_MAX_BYTES),
    limits: config.limits,
    budget: new Budget(config.limits, signal),
  });
  const memory = join(paths.sync, 'offered.json');
  const before = readOffered(memory);
  const isNew = before?.digest !== digest;
  report.mirror = { path, digest, new: isNew };
  // Importing again is harmless but fills the ledger with refusals when it is refused.
  if (before !== null && !isNew && (before.applied || now() - before.at < OFFER_AGAIN_MS)) return;
  report.imported = await offer(path);
  // No judgement of the files: nobody was there, or the daemon has troubles of its own.
  if (
    report.imported === null ||
    (!report.imported.applied && /^(ledger|engine)\./.test(report.imported.code))
  )
    return;
  const offered = { digest, applied: isAccepted(report.imported), at: now() };
  writeDurable(memory, Buffer.from(`${JSON.stringify(offered)}\n`, 'utf8'), 0o600);
}

async function carry(
  { config, paths, signal }: RoundOptions,
  link: Link,
  report: RoundReport,
): Promise<void> {
  report.carried = await carryOutbox({
    link,
    url: config.upstream ?? '',
    outbox: paths.outbox,
    inbox: paths.inbox,
    state: paths.sync,
    maxBytes: config.limits.file_bytes,
    budget: new Budget(config.limits, signal),
  });
  for (const { code, message } of report.carried.failures) report.failures.push({ code, message });
}

async function haveCosigned(
  { config, paths, signal }: RoundOptions,
  link: Link,
  report: RoundReport,
): Promise<void> {
  const { inbox, outbox, sync } = paths;
  const budget = new Budget(config.limits, signal);
  const asked = await askWitnesses({ link, witnesses: config.witnesses, outbox, inbox, state: sync, budget });
  for (const { failure, ...witnessed } of asked) {
    report.witnessed.push(witnessed);
    if (failure !== null) report.failures.push({ code: failure.code, message: failure.message });
  }
}

/** What waits is the site's own business from now on: nothing about the files is left to be judged. */
function isAccepted(imported: Judgement): boolean {
  return imported.applied || imported.held === true;
}

/** What was offered last; null when nothing was, or the memory is not readable: then it is offered again. */
function readOffered(path: string): { digest: string; applied: boolean; at: number } | null {
  try {
    const text = Buffer.from(readBounded(path, 4_096)).toString('utf8');
    const value = parseStrict(text, { maxBytes: 4_096, maxDepth: 2 });
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return null;
    const { digest, applied, at } = value;
    if (typeof digest !== 'string' || typeof applied !== 'boolean' || typeof at !== 'number') return null;
    return { digest, applied, at };
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
