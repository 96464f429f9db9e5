import type { Entry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';

/*
 * The chain of anchors as the entries tell it: which tree heads left as anchors, and how far something that is known to
 * have left the site reaches.
 */

/** One link: the history up to `size` was exported, proven to continue that of `old` entries. */
export interface AnchorRow {
  size: number;
  old: number;
  /** Log index of its `anchor.exported`. */
  idx: number;
  /** When it was made, at least: milliseconds since 1970. */
  at: number;
  /** Log index of the entry by which it is known outside; null while none says so. */
  departed: number | null;
  /** Log index of the entry by which headquarters has it; null while none says so. */
  acknowledged: number | null;
}

/** How much of the history an entry says is known outside. */
export interface Departure {
  size: number;
  /** By headquarters' word. */
  acknowledged: boolean;
}

/** `data` of an `anchor.exported` entry. */
export interface AnchorData {
  old: number;
  size: number;
  /** Hex, of the tree of `size` entries. */
  root: string;
  /** Hex SHA-256 of the signed note. */
  checkpoint: string;
  reason: AnchorReason;
  /** When it was made, at least: RFC 3339. What the clock said is the entry's own `at`. */
  made_at: string;
}

/** Why an anchor was made: by the site's schedule, because the policy demands one, because somebody asked, for a medium. */
export type AnchorReason = 'schedule' | 'policy' | 'demand' | 'media';

/** The link that an entry adds to the chain, if any. */
export function exportedBy(index: number, { type, data }: Entry): AnchorRow | null {
  if (type !== 'anchor.exported') return null;
  const { old, size, made_at } = data as unknown as AnchorData;
  return { size, old, idx: index, at: Date.parse(made_at), departed: null, acknowledged: null };
}

/**
 * How much of the history an entry says is known outside: headquarters acknowledged it, a witness cosigned it, it was
 * taken to a medium. Null for all other entries.
 */
export function departedBy({ type, data }: Entry): Departure | null {
  if (type === 'anchor.carried' || type === 'anchor.cosigned') {
    const size = sizeOf(data.size);
    return size === null ? null : { size, acknowledged: false };
  }
  if (type !== 'outbox.acknowledged' || !Array.isArray(data.files)) return null;
  const sizes = data.files.flatMap((file) => sizeOf((file as JsonObject).anchor) ?? []);
  return sizes.length === 0 ? null : { size: Math.max(...sizes), acknowledged: true };
}

function sizeOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : null;
}

/** Follows entries in the order of the log, for the check of the table. */
export class AnchorChain {
  readonly rows = new Map<number, AnchorRow>();

  follow(index: number, entry: Entry): void {
    const made = exportedBy(index, entry);
    if (made !== null) this.rows.set(made.size, made);
    const departed = departedBy(entry);
    if (departed === null) return;
    const sizes = [...this.rows.keys()].filter((size) => size <= departed.size);
    const row = sizes.length === 0 ? undefined : this.rows.get(Math.max(...sizes));
    if (row === undefined) return;
    row.departed ??= index;
    if (departed.acknowledged) row.acknowledged ??= index;
  }
}
