import { type CosignedData, cosignatureOf, keyName, sizePrefix } from '../core/cosigned.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { mergeNotes } from '../formats/cosignature.ts';
import { decodeEntry } from '../formats/entry.ts';
import { meetsQuorum, type TlogPolicy } from '../formats/tlog-policy.ts';
import type { EngineState } from './context.ts';
import type { StandingRow } from './projections.ts';

/*
 * Cosignatures that came back (docs/decisions/0030). Each is an entry, far above the checkpoint that it is about; the table
 * `standing` finds it by the size of that checkpoint.
 */

/** Cosignatures that are looked through for a checkpoint that enough witnesses stand behind: one that few cosign is older news. */
const LOOKED_AT = 4_096;
/** More than there are witnesses. */
const PAGE = 128;

/** What stands behind one checkpoint. */
export interface CosignedHead {
  size: number;
  /** The note with every cosignature that is kept of it. */
  note: string;
  /** Of the cosignatures that are kept. */
  witnesses: { witness: string; vkey: string; time: string }[];
}

/** Where cosignatures are kept. */
type Kept = Pick<EngineState, 'ledger' | 'projections'>;

/**
 * The newest checkpoint above `above` entries that the policy's quorum of witnesses cosigned; where the policy asks for none,
 * that any witness of it did. Null when there is none.
 */
export function newestCosigned(kept: Kept, policy: TlogPolicy, above = 0): CosignedHead | null {
  const known = new Map(policy.witnesses.map(({ text }) => [keyName(text), text]));
  for (const rows of newestFirst(kept)) {
    const [first] = rows;
    if (first === undefined || cosignatureOf(first.id).size <= above) return null;
    const believed = rows.flatMap(({ id }) => known.get(cosignatureOf(id).key) ?? []);
    const isBelieved = believed.length > 0 && meetsQuorum(policy, new Set(believed));
    const head = isBelieved ? headOf(kept, rows) : null;
    if (head !== null) return head;
  }
  return null;
}

/** What is kept about the checkpoint of one size; null when no witness cosigned it. */
export function cosignedAt(kept: Kept, size: number): CosignedHead | null {
  const rows = kept.projections
    .standingBefore('cosignature', sizePrefix(size + 1), PAGE)
    .filter(({ id }) => cosignatureOf(id).size === size);
  return rows.length === 0 ? null : headOf(kept, rows);
}

/** The cosignatures of one tree after the other, the newest first. */
function* newestFirst({ projections }: Kept): Generator<StandingRow[]> {
  let before = '~';
  for (let looked = 0; looked < LOOKED_AT; looked += PAGE) {
    const rows = projections.standingBefore('cosignature', before, PAGE);
    const groups = bySize(rows);
    // The last one may go on behind the page.
    const whole = rows.length < PAGE || groups.length === 1 ? groups : groups.slice(0, -1);
    yield* whole;
    const last = whole.at(-1)?.[0];
    if (last === undefined || rows.length < PAGE) return;
    before = sizePrefix(cosignatureOf(last.id).size);
  }
}

/** Rows that are neighbours by size, as groups. */
function bySize(rows: readonly StandingRow[]): StandingRow[][] {
  const groups: StandingRow[][] = [];
  let size = -1;
  for (const row of rows) {
    const of = cosignatureOf(row.id).size;
    if (of === size) groups.at(-1)?.push(row);
    else groups.push([row]);
    size = of;
  }
  return groups;
}

/** Null where the entries were carried off with their archive: then only that can tell. */
function headOf(kept: Kept, rows: readonly StandingRow[]): CosignedHead | null {
  const entries = [...new Set(rows.map(({ first_idx }) => first_idx))].sort((a, b) => a - b);
  const data = entries.map((index) => cosignedIn(kept, index));
  if (data.includes(null)) return null;
  const whole = data.filter((one) => one !== null);
  return {
    size: whole[0]?.size ?? 0,
    note: mergeNotes(whole.map(({ note }) => note)),
    witnesses: whole.flatMap(({ cosignatures }) => cosignatures),
  };
}

function cosignedIn({ ledger }: Kept, index: number): CosignedData | null {
  try {
    const bytes = ledger.entry(index);
    if (bytes === null) throw new Error(`cosigned: entry ${index} does not exist`);
    return decodeEntry(bytes).data as unknown as CosignedData;
  } catch (error) {
    if (error instanceof BoundaryError && error.code.startsWith('archive.')) return null;
    throw error;
  }
}
