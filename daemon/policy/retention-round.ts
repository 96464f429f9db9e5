import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { RetentionRule } from '../core/retention.ts';
import { type EngineCall, type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import { retentionAside } from '../engine/retention-aside.ts';
import type { Prepared, RetentionPlan } from '../engine/retention-plan.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { systemClock } from '../host/clock.ts';
import { errorCode, makeDir, syncDir, writeDurable } from '../host/durable-file.ts';
import type { SitePaths } from '../host/site.ts';

/** What `retention.get` answers, as far as it is needed here. */
export interface RetentionStanding {
  rule: RetentionRule | null;
  archived: { segments: number; entries: number; bytes: number; carried: number };
  reusable_bytes: number;
}

/** What one round did, or (dry) would do. */
export interface RoundReport {
  dry_run: boolean;
  /** Why nothing can move; null when the policy has a rule. */
  refused: string | null;
  archived: { first: number; until: number; file: string; bytes: number; record: number }[];
  /** Only on a dry run: what would move. */
  candidates: { first: number; until: number; newest_at: string }[];
  held: RetentionPlan['held'];
  shredded: number;
}

/** Segments whose files are written before the ledger is looked at again: one snapshot must not be held for long. */
const STEP = 8;
/** Segments that a dry run names. */
const SHOWN = 1_000;
/** Rounds of shredding in one go. */
const SHRED_ROUNDS = 1_000;
/**
 * One round: which segments may go → write and re-read their archive files, aside → put each on record → its signed record
 * into the outbox → shred envelopes that are past their time. The entries themselves leave the table afterwards, a few
 * at a time (engine/clearing.ts). Cut off anywhere, the next round goes on from what is on record.
 */
export async function runRound(job: {
  paths: SitePaths;
  /** Where archive files lie. */
  archive: string;
  engine: EngineHandle;
  dryRun: boolean;
}): Promise<RoundReport> {
  const { paths, archive, engine, dryRun } = job;
  const report: RoundReport = {
    dry_run: dryRun,
    refused: null,
    archived: [],
    candidates: [],
    held: [],
    shredded: 0,
  };
  const { rule } = await retentionStanding(engine);
  if (rule === null) {
    report.refused =
      'The policy in force has no section "retention", so everything stays where it is. Bring in an update that says how long entries stay in the database.';
    return report;
  }
  for (;;) {
    const before = report.archived.length;
    const task = {
      ledger: paths.ledger,
      directory: archive,
      origin: await originOf(engine),
      rule,
      now: systemClock.now(),
      limit: dryRun ? SHOWN : STEP,
      write: !dryRun,
    };
    const plan = await retentionAside(task, async (prepared) => {
      const record = await recordArchived(engine, paths, prepared);
      const { first, until, file } = prepared;
      report.archived.push({ first, until, file: file.name, bytes: file.bytes, record });
    });
    report.held = plan.held;
    if (dryRun) report.candidates = plan.candidates.map(({ kept: _, ...rest }) => rest);
    if (dryRun || plan.candidates.length < STEP || report.archived.length === before) break;
  }
  if (!dryRun) report.shredded = await shred(engine);
  return report;
}

/** The log's name, as its newest checkpoint has it. */
async function originOf(engine: EngineHandle): Promise<string> {
  const answer = await engine.call(internal('ledger.checkpoint', null));
  return textOf(answer).split('\n', 1)[0] ?? '';
}

/** Puts an archive file on record, and the record's proof (C2SP tlog-proof, entry included) into the outbox. */
async function recordArchived(engine: EngineHandle, paths: SitePaths, prepared: Prepared): Promise<number> {
  const { index, proof } = await answered<{ index: number; proof: string }>(
    engine,
    internal('retention.archived', JSON.stringify(prepared)),
  );
  writeRecord(paths, index, proof);
  return index;
}

function writeRecord({ outbox }: SitePaths, index: number, proof: string): void {
  const directory = join(outbox, 'retention');
  makeDir(directory, 0o770);
  const name = `pruned-${String(index).padStart(12, '0')}.tlog-proof`;
  writeDurable(join(directory, name), new TextEncoder().encode(proof), 0o640);
}

async function shred(engine: EngineHandle): Promise<number> {
  let total = 0;
  let after: string | undefined;
  for (let round = 0; round < SHRED_ROUNDS; round++) {
    const body = JSON.stringify(after === undefined ? {} : { after });
    const { shredded, next } = await answered<{ shredded: number; next: string | null }>(
      engine,
      internal('retention.shred', body),
    );
    total += shredded;
    if (next === null) break;
    after = next;
  }
  return total;
}

/** The entry first, then the file: a crash in between leaves a file too many, and the same call again removes it. */
export async function carryArchive(
  call: EngineCall,
  { paths, archive, engine }: { paths: SitePaths; archive: string; engine: EngineHandle },
): Promise<{ status: number; body: string }> {
  const reply = await engine.call(call);
  const answer = { status: reply.status, body: textOf(reply) };
  if (answer.status !== 200) return answer;
  const { file, index, proof, ...rest } = JSON.parse(answer.body) as {
    file: string;
    index?: number;
    proof?: string;
  };
  if (index !== undefined && proof !== undefined) writeRecord(paths, index, proof);
  const removed = removeFile(archive, file);
  return {
    status: 200,
    body: JSON.stringify({ ...rest, file, ...(index === undefined ? {} : { index }), removed }),
  };
}

function removeFile(directory: string, name: string): boolean {
  try {
    unlinkSync(join(directory, name));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
  syncDir(directory);
  return true;
}

/** How retention stands, as the engine knows it. */
export function retentionStanding(engine: EngineHandle): Promise<RetentionStanding> {
  return answered<RetentionStanding>(engine, { ...internal('retention.get', null), args: { brief: 'true' } });
}

/** What the engine answers with 200; anything else ends the round, and the next one goes on from there. */
async function answered<Body>(engine: EngineHandle, call: EngineCall): Promise<Body> {
  const answer = await engine.call(call);
  if (answer.status === 200) return JSON.parse(textOf(answer)) as Body;
  const { detail = 'the engine did not answer' } = JSON.parse(textOf(answer)) as { detail?: string };
  throw new BoundaryError('retention.stopped', detail);
}
