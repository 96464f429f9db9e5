import { BoundaryError } from '../formats/boundary-error.ts';
import type { LogKey } from '../formats/log-keys.ts';
import { archiveDir } from './archive.ts';
import { type Database, openDatabase } from './database.ts';
import { type Finding, Findings, tampered, type VerifyCode } from './finding.ts';
import { LEDGER_KIND, schemaDefects, structureDefects } from './schema.ts';
import { readSegments } from './segments.ts';
import { StreamMarks } from './stream-marks.ts';
import { type ArchiveReport, EntryRows, verifySegments } from './verify-archive.ts';
import { blame } from './verify-blame.ts';
import { closedOtherwise } from './verify-closed.ts';
import {
  damageOf,
  type Files,
  inspectSettled,
  logFindings,
  openFiles,
  otherKindNamed,
  truncation,
} from './verify-files.ts';
import { readHead, verifyHead } from './verify-head.ts';
import { believedOrigin, cutBack, followKeys } from './verify-keys.ts';
import { otherLog } from './verify-origin.ts';
import type { LedgerTrust } from './verify-range.ts';
import { verifyRanges } from './verify-ranges.ts';
import { TreeVerifier } from './verify-tree.ts';

export type { Finding, VerifyCode } from './finding.ts';
export type { LedgerTrust } from './verify-range.ts';

export interface VerifyOptions {
  ledgerPath: string;
  /** Where archive files lie; absent: beside the ledger. */
  archiveDir?: string;
  /** Without the head store a rollback of the whole file cannot be noticed. */
  headPath?: string;
  trust: LedgerTrust;
  /**
   * True for a site's own files, also while its daemon runs: they are read where they are, in one snapshot. Otherwise
   * they are taken for evidence and nothing is written beside them: a private copy is verified.
   */
  inPlace?: boolean;
  threads?: number;
  onProgress?: (done: number, total: number) => void;
  /**
   * Checks of tables that other layers derive from the entries, given the database with its snapshot pinned, where archive
   * files lie, the number of entries, and what the ranges see of them. May do its work beside theirs.
   */
  projectionChecks?: (
    database: Database,
    archive: string,
    entries: number,
    seen: SeenEntries,
  ) => Finding[] | Promise<Finding[]>;
}

/** What the verification of the entries tells other checks. */
export interface SeenEntries {
  /** A float64 for each entry: when the unused permit expires that it alone makes (milliseconds since 1970); 0 where none was seen. */
  grants: SharedArrayBuffer;
  /** When all entries were seen that ever will be. Never fails. */
  complete: Promise<void>;
}

export interface VerifyReport {
  /** Contract, exit codes: 0, or the worst of the findings. */
  code: VerifyCode;
  entries: number;
  /** Newest stored checkpoint that covers the entries read; null when there is none. */
  checkpoint: { size: number; root: string; note: string } | null;
  /** Name of the log, where it is another than the trust's newest: one that this goes on for. */
  origin?: string;
  /** Keys that the trust did not name, and that a key which it names vouches for in the ledger; absent when there are none. */
  followed?: LogKey[];
  /** Absent where no entry was ever archived. */
  archive?: ArchiveReport;
  /** The first of them; `total` counts all. */
  findings: Finding[];
  total: number;
}

const HEAD_MISSING =
  'it is missing: nothing here can tell whether newer entries were cut off. Hold anchors against the ledger';

/** What follows a site's name in the names of its logs. */
const LOG_NAME = /\/ledger(?:\/[0-9]+)?$/;

type Read = Omit<VerifyReport, 'code' | 'findings' | 'total'>;

/**
 * Verifies a ledger file against the keys of `trust`, entry by entry: what was recorded is there, in order, in canonical
 * form, chained per stream, hashed into the tree that the checkpoints sign; derived tables say the same; and the history
 * reaches the checkpoint in the head store.
 *
 * Throws `BoundaryError` for what is not the ledger's fault: `database.missing`, `database.newer`, `vkey.*`.
 */
export async function verifyLedger(options: VerifyOptions): Promise<VerifyReport> {
  const findings = new Findings();
  let read: Read = { entries: 0, checkpoint: null };
  const other = otherKindNamed(options);
  if (other !== null) {
    findings.add(tampered('kind', options.ledgerPath, other));
    return { code: findings.code(), ...read, findings: findings.kept, total: findings.total };
  }
  const files = openFiles(options);
  try {
    if (options.headPath !== undefined && files.head === null)
      findings.add(tampered('head', options.headPath, HEAD_MISSING));
    // Before SQLite opens it: its recovery silently drops everything from the first bad frame on.
    const log = await inspectSettled(files.ledger);
    findings.addAll(logFindings(log, `${options.ledgerPath}-wal`));
    const cut = truncation(files.ledger, log);
    if (cut !== null) findings.add({ code: 14, what: 'file', where: options.ledgerPath, detail: cut });
    else read = await verifyDatabase(files, options, findings);
  } finally {
    files.remove();
  }
  return { code: findings.code(), ...read, findings: findings.kept, total: findings.total };
}

async function verifyDatabase(files: Files, options: VerifyOptions, findings: Findings): Promise<Read> {
  const unreadable = (error: unknown): void => {
    findings.add(tampered('file', options.ledgerPath, damageOf(error)));
  };
  let database: Database;
  try {
    database = openDatabase(files.ledger, { kind: LEDGER_KIND, readonly: true });
  } catch (error) {
    unreadable(error);
    return { entries: 0, checkpoint: null };
  }
  const ranges = Promise.withResolvers<void>();
  try {
    return await verifySnapshot(database, files, options, findings, ranges);
  } catch (error) {
    unreadable(error);
    return { entries: 0, checkpoint: null };
  } finally {
    ranges.resolve();
    database.close();
  }
}

/** Everything inside one snapshot of the database. */
async function verifySnapshot(
  database: Database,
  files: Files,
  options: VerifyOptions,
  findings: Findings,
  ranges: PromiseWithResolvers<void>,
): Promise<Read> {
  const unusable = structureDefects(database).map((defect) => tampered('schema', 'sqlite_schema', defect));
  if (unusable.length > 0) {
    findings.addAll(unusable);
    return { entries: 0, checkpoint: null };
  }
  const stranger = otherLog(database, options.trust.origin);
  if (stranger !== null) {
    findings.add(stranger);
    return { entries: countEntries(database, findings), checkpoint: null };
  }
  const origin = believedOrigin(database, options.trust);
  const headScope = { where: options.headPath ?? '', trust: { ...options.trust, origin }, findings };
  const head = files.head === null ? null : await readHead(files.head, headScope);
  database.beginRead();
  findings.addAll(schemaDefects(database).map((defect) => tampered('schema', 'sqlite_schema', defect)));
  const entries = countEntries(database, findings);
  const marks = StreamMarks.ofSize(entries);
  const archive = options.archiveDir ?? archiveDir(options.ledgerPath);
  const projections = startChecks(options, database, archive, entries, {
    grants: marks.shared.grants,
    complete: ranges.promise,
  });
  const stored = new EntryRows(database, archive);
  const { trust, followed } = followKeys(database, stored, headScope.trust);
  const segments = verifySegments(database, archive);
  findings.addAll(segments.findings);
  const tree = new TreeVerifier(findings);
  let believed = 0;
  await verifyRanges({
    database,
    size: entries,
    trust,
    marks,
    archive,
    threads: options.threads,
    acceptPages: (found) => findings.addAll(found),
    accept(result, range) {
      believed += result.signed.length;
      tree.accept(result, range);
      options.onProgress?.(range.to, entries);
    },
  });
  ranges.resolve();
  findings.addAll(tree.upperTiles(database));
  findings.lead(blame(database, stored, origin.replace(LOG_NAME, ''), tree.parting()));
  findings.addAll(verifyStreams(database, marks, entries, stored));
  const checkpoint = newestCheckpoint(database, entries, findings);
  // What no believed key ever signed is another ledger, whatever its length.
  const cut = believed === 0 ? null : cutBack(trust, origin, entries);
  if (cut !== null) findings.add(cut);
  const rootAt = (size: number): Uint8Array | null => tree.root(database, size);
  if (head !== null) verifyHead(head, { entries, rootAt }, { ...headScope, trust });
  const otherwise = closedOtherwise(options.trust, origin, rootAt, entries);
  if (otherwise !== null) findings.add(otherwise);
  findings.addAll(await projections);
  return {
    entries,
    checkpoint,
    ...(origin === options.trust.origin ? {} : { origin }),
    ...(followed.length === 0 ? {} : { followed }),
    ...(segments.report.segments === 0 ? {} : { archive: segments.report }),
  };
}

/** Started before the ranges, whose threads leave this one idle. Its failure is heard where it is awaited. */
function startChecks(
  options: VerifyOptions,
  ...given: Parameters<NonNullable<VerifyOptions['projectionChecks']>>
): Promise<Finding[]> {
  const checks = (async () => options.projectionChecks?.(...given) ?? [])();
  checks.catch(() => {});
  return checks;
}

/** How many entries there should be by the largest index. No page holds more than 256 rows of ours. */
function countEntries(database: Database, findings: Findings): number {
  // One at a time each is a look at an end of the table; asked together, SQLite reads all of it.
  const first = database.prepareColumn<number | null>('SELECT min(idx) FROM entries').get() ?? null;
  const last = database.prepareColumn<number | null>('SELECT max(idx) FROM entries').get() ?? null;
  if (first === null || last === null) return 0;
  // Without the first one, what is missing must be archived: that is looked at entry by entry.
  if (first !== 0 && (first < 0 || segmentsIn(database) === 0))
    findings.add(tampered('entry', `entries[${first}]`, 'the first entry has this index, not 0', first));
  if (last < Number(database.pragma('page_count')) * 256) return last + 1;
  findings.add(tampered('entry', `entries[${last}]`, 'the last entry has an index that cannot be', last));
  return 0;
}

/** How many segments the ledger says were archived; 0 when it says nothing that can be read. */
function segmentsIn(database: Database): number {
  try {
    return readSegments(database).length;
  } catch (error) {
    if (error instanceof BoundaryError) return 0;
    throw error;
  }
}

/** The projection `streams` names exactly the last entry of every stream. */
function verifyStreams(
  database: Database,
  marks: StreamMarks,
  entries: number,
  rowsOf: EntryRows,
): Finding[] {
  const findings: Finding[] = [];
  let rows = 0;
  const all = database.prepareTuple<[stream: string, seq: number, last: number]>(
    `SELECT coalesce(CAST(stream AS TEXT), ''), CAST(seq AS INTEGER), coalesce(CAST(last_idx AS INTEGER), -1) FROM streams`,
  );
  for (const [stream, seq, last] of all.iterate()) {
    // Its end lies elsewhere: nothing here can say whether it is one.
    if (rowsOf.isDark(last)) continue;
    rows++;
    const names = last >= 0 && last < entries && marks.isAt(last, stream, seq) && !marks.hasSuccessor(last);
    if (!names)
      findings.push(tampered('projection', `streams[${stream}]`, `it does not end at entry ${last}`));
  }
  const expected = marks.countLast(entries, (index) => rowsOf.isDark(index));
  // What follows an entry may lie elsewhere: then there can be more ends than streams.
  if (rowsOf.anyDark ? rows > expected : rows !== expected) {
    findings.push(tampered('projection', 'streams', `there are ${rows} rows for ${expected} streams`));
  }
  return findings;
}

/** The signatures and roots of all stored checkpoints were verified with their ranges; this is about the last one's place. */
function newestCheckpoint(
  database: Database,
  entries: number,
  findings: Findings,
): VerifyReport['checkpoint'] {
  const newest = database
    .prepare<{ size: number; note: string }>(
      "SELECT size, coalesce(CAST(note AS TEXT), '') AS note FROM checkpoints ORDER BY size DESC LIMIT 1",
    )
    .get();
  const size = newest?.size ?? 0;
  const where = `checkpoints[${size}]`;
  if (size > entries) {
    const detail = `a stored checkpoint covers ${size} entries, the ledger ends at ${entries}`;
    findings.add({ code: 14, what: 'checkpoint', where, detail });
  } else if (size < entries) {
    const detail = `the newest ${entries - size} entries are not yet under a checkpoint`;
    findings.add({ code: 12, what: 'checkpoint', where, detail, index: size });
  }
  const below = database.prepareColumn<number>('SELECT count(*) FROM checkpoints WHERE size < 1').get() ?? 0;
  if (below > 0)
    findings.add(tampered('checkpoint', 'checkpoints', `${below} of them cover no entry at all`));
  if (newest === undefined || size > entries) return null;
  const root = /^[^\n]*\n[^\n]*\n([^\n]*)\n/.exec(newest.note)?.[1] ?? '';
  return { size, root: Buffer.from(root, 'base64').toString('hex'), note: newest.note };
}
