import { BoundaryError } from '../formats/boundary-error.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../formats/checkpoint.ts';
import { equalBytes, toHex } from '../formats/digest.ts';
import { type Findings, tampered } from './finding.ts';
import { openHeadStore } from './head-store.ts';
import { damageOf, inspectSettled } from './verify-files.ts';
import { checkpointFinding, type LedgerTrust } from './verify-range.ts';

/** A stored head with a checkpoint. */
export interface HeadNote {
  size: number;
  root: string;
  note: string;
}

export interface HeadScope {
  /** Name of the file in findings. */
  where: string;
  trust: LedgerTrust;
  findings: Findings;
}

/** What the head store says; null when it says nothing (yet), or what it says is a finding of its own. */
export async function readHead(path: string, scope: HeadScope): Promise<HeadNote | null> {
  const { where, trust, findings } = scope;
  const log = await inspectSettled(path);
  if (log.state === 'damaged') findings.add(tampered('head', where, log.detail));
  try {
    const store = openHeadStore(path, { readonly: true });
    const head = store.read(trust.origin);
    store.close();
    if (head === null) findings.add(tampered('head', where, `it does not know ${trust.origin}`));
    // Between init's two steps: nothing is claimed yet.
    return head === null || head.note === null ? null : { ...head, note: head.note };
  } catch (error) {
    findings.add(tampered('head', where, damageOf(error)));
    return null;
  }
}

/** The history must reach, and be the one of, the checkpoint that was put beyond the reach of a rollback. */
export function verifyHead(
  head: HeadNote,
  ledger: { entries: number; rootAt(size: number): Uint8Array | null },
  { where, trust, findings }: HeadScope,
): void {
  const checkpoint = openHead(head, { where, trust, findings });
  if (checkpoint === null) return;
  const { size, root } = checkpoint;
  if (size !== head.size || toHex(root) !== head.root) {
    findings.add(tampered('head', where, 'its size and root are not those of its checkpoint'));
  }
  if (size > ledger.entries) {
    const detail = `the ledger ends at ${ledger.entries} entries, the stored checkpoint covers ${size}`;
    findings.add({ code: 14, what: 'head', where, detail });
    return;
  }
  const computed = ledger.rootAt(size);
  if (computed !== null && !equalBytes(computed, root)) {
    const detail = `the first ${size} entries are not those of the stored checkpoint`;
    findings.add(tampered('head', where, detail));
  }
}

function openHead(head: HeadNote, { where, trust, findings }: HeadScope): OpenedCheckpoint | null {
  try {
    return openCheckpoint(head.note, trust);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    findings.add(checkpointFinding('head', where, error));
    return null;
  }
}
