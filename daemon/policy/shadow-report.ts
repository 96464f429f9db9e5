import type { FirstData } from '../core/create.ts';
import { isDecisionEntry } from '../core/replay.ts';
import type { PolicyName, ShadowCandidate } from '../core/shadow.ts';
import type { EntryReader, IndexedEntry } from './simulate.ts';

/** Flips that a report spells out; its counts have them all. */
const FLIPS_LISTED = 1_000;
const PAGE = 256;

/** One decision that a bundle in shadow would have made otherwise. */
export interface ShadowFlip {
  decision_id: string;
  /** Log index of its first entry. */
  index: number;
  at: string;
  class: string | null;
  environment: string;
  /** `allow→deny` and the like; `band` or `authority` where the result stays. */
  kind: string;
}

/** What one thing in shadow has said so far, as the ledger recorded it. */
export interface ShadowReport {
  /** Bundle in shadow; null for action classes that are in shadow under the policy in force. */
  policy: PolicyName | null;
  since: string;
  decisions: number;
  unchanged: number;
  /** Decisions that it could not judge. */
  failed: number;
  counts: Record<string, number>;
  /** Newest first. */
  flips: ShadowFlip[];
}

/** Counts what bundles and classes in shadow have said, entry by entry: nothing is judged again. Newest entries come first. */
class ShadowCount {
  readonly #reports = new Map<string, ShadowReport>();

  add({ index, entry }: IndexedEntry): void {
    if (!isDecisionEntry(entry)) return;
    const data = entry.data as unknown as FirstData;
    const { shadow, action, context } = data;
    if (shadow === undefined) return;
    const decision = { decision_id: entry.stream, index, at: entry.at, class: action.class };
    const where = { ...decision, environment: context.environment };
    if (shadow.class !== undefined) {
      this.#count(null, where, flip(data.enforcement.result, shadow.class.result));
    }
    const { candidate } = shadow;
    if (candidate !== undefined) this.#count(candidate.policy, where, kindOf(data, candidate));
  }

  #count(policy: PolicyName | null, decision: Omit<ShadowFlip, 'kind'>, kind: string | null): void {
    const key = policy?.digest ?? '';
    const report = this.#reports.get(key) ?? {
      policy,
      since: decision.at,
      decisions: 0,
      unchanged: 0,
      failed: 0,
      counts: {},
      flips: [],
    };
    this.#reports.set(key, report);
    report.since = decision.at;
    report.decisions += 1;
    if (kind === null) report.unchanged += 1;
    else if (kind === FAILED) report.failed += 1;
    else {
      report.counts[kind] = (report.counts[kind] ?? 0) + 1;
      if (report.flips.length < FLIPS_LISTED) report.flips.push({ ...decision, kind });
    }
  }

  /** The one that spoke last comes first. */
  reports(): ShadowReport[] {
    return [...this.#reports.values()];
  }
}

const FAILED = 'failed';

/** The words of `policy simulate`: another result, else another band, else other people to approve. */
function kindOf({ enforcement, risk }: FirstData, candidate: ShadowCandidate): string | null {
  if ('failed' in candidate) return FAILED;
  const other = flip(enforcement.result, candidate.result);
  if (other !== null) return other;
  if (risk.band !== candidate.band) return 'band';
  const { gates, authority, dropped } = candidate;
  const exceptions = [...(gates?.added ?? []), ...(gates?.gone ?? [])].some((gate) =>
    gate.endsWith(' requires_exception'),
  );
  return authority !== undefined || exceptions || (dropped?.groups ?? 0) > 0 ? 'authority' : null;
}

function flip(from: string, to: string): string | null {
  return from === to ? null : `${from}→${to}`;
}

/** Reads the newest `last` entries of a ledger backwards, page by page, and counts what was in shadow. */
export async function countShadow(source: EntryReader, last: number): Promise<ShadowReport[]> {
  const count = new ShadowCount();
  const oldest = Math.max(0, source.size - last);
  for (let end = source.size; end > oldest; end -= PAGE) {
    const from = Math.max(oldest, end - PAGE);
    const page = await source.read(from, end - from);
    for (const one of page.toReversed()) count.add(one);
  }
  return count.reports();
}
