import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../formats/checkpoint.ts';
import { equalBytes, toHex } from '../formats/digest.ts';
import { type Database, isCorruption, openDatabase } from './database.ts';
import { type Finding, Findings, tampered, type VerifyCode } from './finding.ts';
import { openHeadStore } from './head-store.ts';
import { LEDGER_KIND, schemaDefects } from './schema.ts';
import { stageCopy } from './staging.ts';
import { StreamMarks } from './stream-marks.ts';
import { checkpointFinding, type LedgerTrust } from './verify-range.ts';
import { verifyRanges } from './verify-ranges.ts';
import { TreeVerifier } from './verify-tree.ts';
import { inspectWal, type WalReport } from './wal.ts';

export type { Finding, VerifyCode } from './finding.ts';
export type { LedgerTrust } from './verify-range.ts';

export interface VerifyOptions {
  ledgerPath: string;
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
  /** Checks of tables that other layers derive from the entries. */
  projectionChecks?: (database: Database) => Finding[];
}

export interface VerifyReport {
  /** Contract, exit codes: 0, or the worst of the findings. */
  code: VerifyCode;
  entries: number;
  /** Newest stored checkpoint that covers the entries read; null when there is none. */
  checkpoint: { size: number; root: string; note: string } | null;
  /** The first of them; `total` counts all. */
  findings: Finding[];
  total: number;
}

/**
 * Verifies a ledger file against the keys of `trust`, entry by entry: what was recorded is there, in order, in canonical
 * form, chained per stream, hashed into the tree that the checkpoints sign; derived tables say the same; and the history
 * reaches the checkpoint in the head store.
 *
 * Throws `BoundaryError` for what is not the ledger's fault: `database.missing`, `database.newer`, `vkey.*`.
 */
export async function verifyLedger(options: VerifyOptions): Promise<VerifyReport> {
  const findings = new Findings();
  const files = openFiles(options);
  let read: Omit<VerifyReport, 'code' | 'findings' | 'total'> = { entries: 0, checkpoint: null };
  try {
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

interface Files {
  ledger: string;
  head: string | null;
  remove(): void;
}

function openFiles({ ledgerPath, headPath, inPlace }: VerifyOptions): Files {
  for (const path of [ledgerPath, headPath]) {
    if (path === undefined || existsSync(path)) continue;
    throw new BoundaryError('database.missing', `${path} does not exist; there is nothing to verify.`, {
      at: path,
    });
  }
  if (inPlace === true) return { ledger: ledgerPath, head: headPath ?? null, remove: () => {} };
  // The head store first, here and below: it follows the ledger, so a ledger looked at later must have reached it.
  const head = headPath === undefined ? null : stageCopy(headPath);
  const ledger = stageCopy(ledgerPath);
  const remove = (): void => {
    ledger.remove();
    head?.remove();
  };
  return { ledger: ledger.path, head: head?.path ?? null, remove };
}

/** A running daemon may be in the middle of a write: only what stays the same is a finding. */
async function inspectSettled(path: string): Promise<WalReport> {
  let report = inspectWal(path);
  for (let look = 0; look < 5 && report.state !== 'clean'; look++) {
    await sleep(20);
    const again = inspectWal(path);
    if (JSON.stringify(again) === JSON.stringify(report)) return report;
    report = again;
  }
  return { ...report, state: 'clean' };
}

function logFindings(log: WalReport, where: string): Finding[] {
  if (log.state === 'clean') return [];
  return [{ code: log.state === 'torn' ? 11 : 10, what: 'log', where, detail: log.detail }];
}

/**
 * SQLite file format §1.3: the header counts the pages. With a log beside it the file may lag behind, so only a file
 * without one can be called cut. Null when it is whole, or not a database at all, which opening it will show.
 */
function truncation(path: string, log: WalReport): string | null {
  if (log.committedFrames > 0) return null;
  const file = openSync(path, 'r');
  const header = Buffer.alloc(100);
  const length = readSync(file, header, 0, header.length, 0);
  const { size } = fstatSync(file);
  closeSync(file);
  if (length < header.length) return `the file has ${size} bytes and no header`;
  if (header.toString('latin1', 0, 16) !== 'SQLite format 3\0') return null;
  const expected = header.readUInt32BE(28) * header.readUInt16BE(16);
  return size < expected ? `the file has ${size} bytes, its header counts ${expected}` : null;
}

async function verifyDatabase(
  files: Files,
  options: VerifyOptions,
  findings: Findings,
): Promise<Pick<VerifyReport, 'entries' | 'checkpoint'>> {
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
  try {
    return await verifySnapshot(database, files, options, findings);
  } catch (error) {
    unreadable(error);
    return { entries: 0, checkpoint: null };
  } finally {
    database.close();
  }
}

/**
 * What an error says about the file, if it says that the file is damaged. Any other is rethrown: that a disk is full or a
 * file unreadable is no evidence against what it holds.
 */
function damageOf(error: unknown): string {
  const coded = error instanceof BoundaryError ? error : null;
  const refused = coded?.code === 'database.kind' || coded?.code === 'head.malformed';
  if (error instanceof Error && (refused || isCorruption(error) || isCorruption(coded?.cause)))
    return error.message;
  throw error;
}

/** Everything inside one snapshot of the database. */
async function verifySnapshot(
  database: Database,
  files: Files,
  options: VerifyOptions,
  findings: Findings,
): Promise<Pick<VerifyReport, 'entries' | 'checkpoint'>> {
  const head = files.head === null ? null : await readHead(files.head, options, findings);
  database.beginRead();
  findings.addAll(schemaDefects(database).map((defect) => tampered('schema', 'sqlite_schema', defect)));
  const entries = countEntries(database, findings);
  const marks = StreamMarks.ofSize(entries);
  const tree = new TreeVerifier(findings);
  await verifyRanges({
    database,
    size: entries,
    trust: options.trust,
    marks,
    threads: options.threads,
    acceptPages: (found) => findings.addAll(found),
    accept(result, range) {
      tree.accept(result, range);
      options.onProgress?.(range.to, entries);
    },
  });
  findings.addAll(tree.upperTiles(database));
  findings.addAll(verifyStreams(database, marks, entries));
  const checkpoint = newestCheckpoint(database, entries, findings);
  if (head !== null) verifyHead(head, { database, entries, tree, options, findings });
  findings.addAll(options.projectionChecks?.(database) ?? []);
  return { entries, checkpoint };
}

/** How many entries there should be by the largest index. No page holds more than 256 rows of ours. */
function countEntries(database: Database, findings: Findings): number {
  const bounds = database
    .prepare<{ first: number | null; last: number | null }>(
      'SELECT min(idx) AS first, max(idx) AS last FROM entries',
    )
    .get();
  const first = bounds?.first ?? null;
  const last = bounds?.last ?? null;
  if (first === null || last === null) return 0;
  if (first !== 0)
    findings.add(tampered('entry', `entries[${first}]`, 'the first entry has this index, not 0', first));
  if (last < Number(database.pragma('page_count')) * 256) return last + 1;
  findings.add(tampered('entry', `entries[${last}]`, 'the last entry has an index that cannot be', last));
  return 0;
}

/** The projection `streams` names exactly the last entry of every stream. */
function verifyStreams(database: Database, marks: StreamMarks, entries: number): Finding[] {
  const findings: Finding[] = [];
  let rows = 0;
  const all = database.prepareTuple<[stream: string, seq: number, last: number]>(
    `SELECT coalesce(CAST(stream AS TEXT), ''), CAST(seq AS INTEGER), coalesce(CAST(last_idx AS INTEGER), -1) FROM streams`,
  );
  for (const [stream, seq, last] of all.iterate()) {
    rows++;
    const names = last >= 0 && last < entries && marks.isAt(last, stream, seq) && !marks.hasSuccessor(last);
    if (!names)
      findings.push(tampered('projection', `streams[${stream}]`, `it does not end at entry ${last}`));
  }
  const expected = marks.countLast(entries);
  if (rows !== expected) {
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
  if (newest === undefined || size > entries) return null;
  const root = /^[^\n]*\n[^\n]*\n([^\n]*)\n/.exec(newest.note)?.[1] ?? '';
  return { size, root: Buffer.from(root, 'base64').toString('hex'), note: newest.note };
}

interface HeadNote {
  size: number;
  root: string;
  note: string;
}

/** What the head store says; null when it says nothing (yet), or what it says is a finding of its own. */
async function readHead(path: string, options: VerifyOptions, findings: Findings): Promise<HeadNote | null> {
  const where = `head ${options.headPath}`;
  const log = await inspectSettled(path);
  if (log.state === 'damaged') findings.add(tampered('head', where, log.detail));
  return readHeadNote(path, options.trust.origin, where, findings);
}

/** The history must reach, and be the one of, the checkpoint that was put beyond the reach of a rollback. */
function verifyHead(
  note: HeadNote,
  scope: {
    database: Database;
    entries: number;
    tree: TreeVerifier;
    options: VerifyOptions;
    findings: Findings;
  },
): void {
  const { database, entries, tree, options, findings } = scope;
  const where = `head ${options.headPath}`;
  let head: OpenedCheckpoint;
  try {
    head = openCheckpoint(note.note, options.trust);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    findings.add(checkpointFinding(where, error));
    return;
  }
  if (head.size !== note.size || toHex(head.root) !== note.root) {
    findings.add(tampered('head', where, 'its size and root are not those of its checkpoint'));
  }
  if (head.size > entries) {
    const detail = `the ledger ends at ${entries} entries, the stored checkpoint covers ${head.size}`;
    findings.add({ code: 14, what: 'head', where, detail });
    return;
  }
  const root = tree.root(database, head.size);
  if (root !== null && !equalBytes(root, head.root)) {
    findings.add(
      tampered('head', where, `the first ${head.size} entries are not those of the stored checkpoint`),
    );
  }
}

function readHeadNote(path: string, origin: string, where: string, findings: Findings): HeadNote | null {
  try {
    const store = openHeadStore(path, { readonly: true });
    const head = store.read(origin);
    store.close();
    if (head === null) findings.add(tampered('head', where, `it does not know ${origin}`));
    // Between init's two steps: nothing is claimed yet.
    return head === null || head.note === null ? null : { ...head, note: head.note };
  } catch (error) {
    findings.add(tampered('head', where, damageOf(error)));
    return null;
  }
}
