import { BundleDefects } from '../core/bundle-defects.ts';
import { compileBundle } from '../core/compile.ts';
import { differences, type Replay, replayDecision } from '../core/replay.ts';
import type { Entry } from '../formats/entry.ts';
import { entryMember } from '../formats/evidence.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Examination, Outcome } from './examination.ts';
import type { OpenedEvidence } from './opened.ts';

/** What came of judging the request again. */
export interface ReplayResult {
  /** `as_far_as_disclosed`: the same, and some of what was judged is not shown. */
  verdict: 'same' | 'as_far_as_disclosed' | 'other' | 'not_replayed';
  /** What was judged then and cannot be seen here, in words. */
  hidden: string[];
  differences: string[];
  /** Sentences of the verdict, as it was reached again. */
  reasons: string[];
}

/** Judges the recorded request again, under the bundle that it is pinned to: the verdict must be the recorded one. */
export function checkReplay(
  ex: Examination,
  opened: OpenedEvidence,
): { result: ReplayResult; outcome: Outcome } {
  const [first] = opened.own;
  const none = first?.entry.data.policy === null;
  if (first === undefined || (opened.bundle === null && !none)) {
    const result: ReplayResult = { verdict: 'not_replayed', hidden: [], differences: [], reasons: [] };
    return { result, outcome: { not_checked: 'without its policy nothing can be judged again' } };
  }
  const hidden = hiddenInputs(opened);
  let replay: Replay;
  try {
    const policy = opened.bundle === null ? null : compileBundle(opened.bundle.bundle, opened.bundle.digest);
    replay = replayDecision(first.entry, policy);
    const found = differences(replay.recorded, replay.replayed);
    // With the values that are shown in place, the rules about them are judged too; the call then differs by those alone.
    const open =
      Object.keys(opened.disclosed).length === 0
        ? null
        : replayDecision(withValues(first.entry, opened), policy);
    const more =
      open === null
        ? []
        : differences(open.recorded, open.replayed).filter((line) => !line.startsWith('call:'));
    return conclude(ex, entryMember(first.index), {
      found: [...new Set([...found, ...more])],
      hidden,
      replay,
    });
  } catch (error) {
    if (!(error instanceof BundleDefects)) throw error;
    ex.fail(
      opened.index.policy?.file ?? '',
      `The policy has defects, so nothing could be judged by it: ${error.message.slice(0, 300)}`,
    );
    const result: ReplayResult = { verdict: 'not_replayed', hidden, differences: [], reasons: [] };
    return { result, outcome: { not_checked: '' } };
  }
}

function conclude(
  ex: Examination,
  file: string,
  { found, hidden, replay }: { found: string[]; hidden: string[]; replay: Replay },
): { result: ReplayResult; outcome: Outcome } {
  const unseen = replay.withheld
    ? [...hidden, 'what the request was denied for, which may not be recorded']
    : hidden;
  const reasons = [...replay.reasons];
  if (found.length > 0) {
    ex.fail(
      file,
      `Judged again under its policy, the request gets another verdict: ${found.join('; ').slice(0, 1_000)}.`,
      {
        field: '/data',
      },
    );
    return {
      result: { verdict: 'other', hidden: unseen, differences: found, reasons },
      outcome: { not_checked: '' },
    };
  }
  const verdict = unseen.length === 0 ? 'same' : 'as_far_as_disclosed';
  const outcome =
    verdict === 'same'
      ? `the same verdict: ${replay.replayed.result}`
      : `consistent as far as disclosed: ${replay.replayed.result}; not seen: ${unseen.join(', ')}`;
  if (unseen.length > 0) ex.unproved.push(`What was judged about ${unseen.join(', ')}: it is not shown.`);
  return { result: { verdict, hidden: unseen, differences: [], reasons }, outcome };
}

function hiddenInputs({ index: { fields } }: OpenedEvidence): string[] {
  return [
    ...fields.withheld.map((field) => `the value of payload.${field} (withheld)`),
    ...fields.shredded.map((field) => `the value of payload.${field} (destroyed)`),
  ];
}

/** The entry with the values that are shown where it has commitments. */
function withValues(entry: Entry, { disclosed }: OpenedEvidence): Entry {
  const action = entry.data.action as JsonObject;
  const values = Object.fromEntries(Object.entries(disclosed).map(([field, { value }]) => [field, value]));
  const payload = { ...(action.payload as JsonObject), ...values };
  return { ...entry, data: { ...entry.data, action: { ...action, payload } } };
}
