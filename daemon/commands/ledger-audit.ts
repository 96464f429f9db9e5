import { AUDIT_KINDS, Audit, type AuditFinding, type AuditKind, type AuditReport } from '../core/audit.ts';
import { checkProjectionsAside } from '../engine/projection-aside.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry } from '../formats/entry.ts';
import { systemClock } from '../host/clock.ts';
import { archiveDir } from '../ledger/archive.ts';
import type { StoredEntry } from '../ledger/ledger.ts';
import { viewLedger } from '../ledger/open.ts';
import type { LedgerReader } from '../ledger/read.ts';
import { stageCopy } from '../ledger/staging.ts';
import { verifyLedger } from '../ledger/verify.ts';
import { EXIT, endWith } from './exit.ts';
import { filesOf, type VerifyOptions } from './ledger-verify.ts';
import { print, printJson } from './render/output.ts';
import { count, fitted, moment, paint, plain, table } from './render/text.ts';
import { instantOf } from './since.ts';

interface AuditOptions extends VerifyOptions {
  since?: string;
}

/** Verification codes under which the entries can be believed: intact, and intact up to the newest few. */
const SOUND = [0, 12];
/** Findings of one kind that are shown; `--json` has more. */
const SHOWN = 10;
const PAGE = 1_000;

/**
 * Verifies a ledger, then says what a complete one would have and this one has not. Ends with the verification's exit code
 * when the entries cannot be believed, 4 when anything waits for somebody, else 0.
 */
export async function auditAndReport(options: AuditOptions): Promise<void> {
  const since = options.since === undefined ? undefined : instantOf('--since', options.since);
  const files = await filesOf(options);
  const verified = await verifyLedger({ ...files, projectionChecks: checkProjectionsAside });
  if (!SOUND.includes(verified.code)) {
    const words = `The ledger does not verify (exit code ${verified.code}), so what it lacks means nothing. Run "holdfast ledger verify" with the same options.`;
    if (options.json) printJson({ verified: verified.code, audited: false, message: words });
    else print(`${paint('red', paint('bold', 'NOT AUDITED'))}  ${words}`);
    endWith(verified.code);
    return;
  }
  // A log that ended with a restore is audited as what it is: what it left open, nobody else tells.
  const { origin = files.trust.origin } = verified;
  const report = auditFile({ ...files, trust: { ...files.trust, origin } }, since);
  if (options.json) printJson({ verified: verified.code, audited: true, ...report });
  else print(render(report));
  endWith(report.open ? EXIT.pending : EXIT.done);
}

/** Reads every entry, in order, from one snapshot. A copy is read from a copy, because SQLite writes beside what it reads. */
function auditFile(
  { ledgerPath, trust, inPlace }: Awaited<ReturnType<typeof filesOf>>,
  since: number | undefined,
): AuditReport {
  const staged = inPlace ? null : stageCopy(ledgerPath);
  try {
    const view = viewLedger(staged?.path ?? ledgerPath, trust, archiveDir(ledgerPath));
    try {
      const audit = new Audit(since);
      for (const { index, bytes } of entriesHere(view)) audit.take(index, decodeEntry(bytes));
      return audit.report(inPlace ? systemClock.now() : null);
    } finally {
      view.close();
    }
  } finally {
    staged?.remove();
  }
}

/** Every entry that can be read. What was carried off was closed before: nothing of it waits for anybody. */
function* entriesHere(view: LedgerReader): Generator<StoredEntry> {
  for (let from = 0; from < view.size; from += PAGE) {
    const count = Math.min(PAGE, view.size - from);
    const page = orElsewhere(() => view.entries(from, count));
    if (page !== null) yield* page;
    else for (let index = from; index < from + count; index++) yield* entryHere(view, index);
  }
}

function entryHere(view: LedgerReader, index: number): StoredEntry[] {
  const bytes = orElsewhere(() => view.entry(index));
  return bytes === null ? [] : [{ index, bytes }];
}

function orElsewhere<Value>(read: () => Value): Value | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'archive.elsewhere') return null;
    throw error;
  }
}

function render(report: AuditReport): string {
  const kinds = (Object.keys(AUDIT_KINDS) as AuditKind[]).filter((kind) => report.counts[kind] > 0);
  const head = report.open
    ? `${paint('yellow', paint('bold', 'OPEN'))}  Something waits for somebody, or is missing from the record.`
    : `${paint('green', paint('bold', 'COMPLETE'))}  Nothing is missing from the record.`;
  const facts = fitted([
    ['entries', report.entries.toLocaleString('en-US')],
    ['from', moment(report.first_at)],
    ['to', moment(report.last_at)],
  ]);
  return [head, facts, ...kinds.map((kind) => renderKind(kind, report))].join('\n');
}

function renderKind(kind: AuditKind, { counts, findings }: AuditReport): string {
  const { open, words } = AUDIT_KINDS[kind];
  const newest = findings.filter((finding) => finding.kind === kind).slice(-SHOWN);
  const more = counts[kind] - newest.length;
  const title = `\n${paint(open ? 'yellow' : 'dim', `${words}: ${counts[kind].toLocaleString('en-US')}`)}`;
  const rest = more > 0 ? [`… and ${count(more, 'older one')}`] : [];
  const next = NEXT[kind] === undefined ? [] : [`do: ${NEXT[kind]}`];
  return [title, table(['about', 'entry', 'from', 'to', 'what'], newest.map(row)), ...rest, ...next].join(
    '\n',
  );
}

function row({ id, index, at, until, detail }: AuditFinding): string[] {
  return [plain(id), String(index), moment(at), until === null ? '-' : moment(until), plain(detail)];
}

/** What a person does about each kind, where there is anything to do. */
const NEXT: Partial<Record<AuditKind, string>> = {
  'incident.open': 'holdfast incident show ID; then holdfast incident resume ID --key KEY --reason TEXT',
  'outcome.missing':
    'start the gateway, which reports what it knows; a self-enforcing target reports by itself',
  'outcome.unknown':
    'look at the machine, then holdfast decision reconcile ID --result succeeded|failed --key KEY --note TEXT',
  'breakglass.unreviewed': 'holdfast breakglass review ID --note TEXT --key KEY',
  'heartbeat.gap': 'find out what the machine did then: its clock, its power, its logs',
  'entries.lost':
    'look for the second copy, or a newer backup; permits in there may have been used: look at the machines',
  'run.broken': 'find out why: power, memory, somebody with kill; holdfast ledger verify tells what was lost',
};
