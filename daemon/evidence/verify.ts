import { BoundaryError } from '../formats/boundary-error.ts';
import type { Checkpoint } from '../formats/checkpoint.ts';
import { type EvidenceIndex, MEMBER } from '../formats/evidence.ts';
import { followInLogs } from '../formats/key-rotation.ts';
import { isRetiredAt, keysOfLogs, type LogLineage, type LogVkey, parseLogVkey } from '../formats/log-keys.ts';
import type { TlogPolicy } from '../formats/tlog-policy.ts';
import { type Members, readArchive } from './archive.ts';
import { type Check, Examination, type Finding, type FindingCode } from './examination.ts';
import { addLimits } from './limits.ts';
import { type OpenedEvidence, openEntries } from './opened.ts';
import { checkActs, checkAuthority } from './verify-acts.ts';
import { checkCourse, checkDisclosed, checkPermit, checkRecord } from './verify-course.ts';
import { checkMembers, checkStatement, checkSums, readIndex } from './verify-files.ts';
import { checkChains, checkHead, checkInclusion, checkSeen, checkWitnesses } from './verify-ledger.ts';
import { checkAuthorization, checkBundle } from './verify-policy.ts';
import { checkReplay, type ReplayResult } from './verify-replay.ts';

/** Whom the verifier believes. None of it comes from the evidence. */
export interface EvidenceTrust {
  /** The site, where a trust file names one; null leaves it to the log's name. */
  site: string | null;
  /** The site's logs; empty where only a policy names them. */
  logs: readonly LogLineage[];
  /** Logs, witnesses and quorum; null without one. */
  policy: TlogPolicy | null;
  /** The pinned policy root (TUF root.json). */
  root: Uint8Array;
}

/** What an examination came to. */
export interface Verification {
  /** Exit code. */
  code: 0 | FindingCode;
  findings: Finding[];
  /** Every question that was put, in order. */
  checks: Check[];
  replay: ReplayResult;
  /** What nobody can conclude from the evidence, in sentences. */
  unproved: string[];
  /** What is in it; null when it could not be read that far. */
  opened: OpenedEvidence | null;
}

const NOT_REPLAYED: ReplayResult = { verdict: 'not_replayed', hidden: [], differences: [], reasons: [] };

/**
 * Checks evidence with public keys alone: what was decided, by whom, under which rules, that nothing in between is missing,
 * and that the rules give the same verdict again. Never throws for what the file holds; every finding names file and field.
 */
export async function verifyEvidence(file: Uint8Array, trust: EvidenceTrust): Promise<Verification> {
  const members = await opened(file);
  if (members instanceof BoundaryError) return unreadable(members);
  const ex = new Examination(members);
  await ex.step('The file is whole', MEMBER.sums, () => checkSums(ex));
  const state: { index: EvidenceIndex | null; evidence: OpenedEvidence | null } = {
    index: null,
    evidence: null,
  };
  await ex.step('It says what is in it', MEMBER.index, () => {
    state.index = readIndex(ex);
    if (state.index === null) return { not_checked: 'evidence.json is missing' };
    checkSite(ex, state.index, trust);
    state.evidence = openEntries(ex, state.index);
    return checkMembers(ex, state.index);
  });
  const { index, evidence } = state;
  if (index === null || evidence === null) return conclude(ex, null, NOT_REPLAYED);
  const keys = keysFor(ex, trust, evidence);
  evidence.head = await headOf(ex, index, keys);
  await ex.step('The entries are in the log', MEMBER.index, () => checkInclusion(ex, evidence));
  await ex.step('No entry in between is missing', MEMBER.index, () => checkChains(ex, evidence));
  await ex.step('Those who signed had seen this history', MEMBER.index, () => checkSeen(ex, evidence));
  await ex.step('Witnesses vouch for this history', MEMBER.cosigned, () =>
    checkWitnesses(ex, evidence, trust.policy),
  );
  await ex.step('The policy is the one that decided', MEMBER.index, () => checkBundle(ex, evidence));
  await ex.step('Headquarters authorized the policy', MEMBER.index, () =>
    checkAuthorization(ex, evidence, trust.root),
  );
  await ex.step('The signatures hold', MEMBER.signers, () => checkActs(ex, evidence));
  await ex.step('Those who signed were allowed to', MEMBER.index, () => checkAuthority(ex, evidence));
  await ex.step('Each step was open to the decision', MEMBER.index, () => checkCourse(ex, evidence));
  await ex.step('The permit is for this action', MEMBER.index, () => checkPermit(ex, evidence));
  await ex.step('Values shown are those on record', MEMBER.index, () => checkDisclosed(ex, evidence));
  let replay = NOT_REPLAYED;
  await ex.step('Judged again, the verdict is the same', MEMBER.index, () => {
    const { result, outcome } = checkReplay(ex, evidence);
    replay = result;
    return outcome;
  });
  await ex.step('The export is on record', MEMBER.index, () => checkRecord(ex, evidence));
  // A key that was rotated out before says nothing about what was exported since, whoever has it now.
  const current = keys.map(parseLogVkey).filter((key) => !isRetiredAt(key, index.tree_size));
  await ex.step('The site signed this file', MEMBER.statement, () => checkStatement(ex, current, evidence));
  return conclude(ex, evidence, replay);
}

async function opened(file: Uint8Array): Promise<Members | BoundaryError> {
  try {
    return await readArchive(file);
  } catch (error) {
    if (error instanceof BoundaryError) return error;
    throw error;
  }
}

function unreadable({ message, at }: BoundaryError): Verification {
  const ex = new Examination(new Map());
  ex.fail(at ?? 'the file itself', message);
  return conclude(ex, null, NOT_REPLAYED);
}

/** Keys that are believed, and those that these vouch for in statements among the evidence: an older trust file will do. */
function keysFor(ex: Examination, { logs, policy }: EvidenceTrust, { entries }: OpenedEvidence): LogVkey[] {
  const rotations = entries.flatMap(({ entry: { type, data } }) =>
    type === 'key.rotated' && typeof data.statement === 'string' ? [data.statement] : [],
  );
  const followed = logs.length === 0 ? [] : keysOfLogs(followInLogs(logs, rotations));
  if (followed.length > keysOfLogs(logs).length)
    ex.unproved.push(
      'That the newest key of the log is the site’s own: the trust file is older than the key, which the key before it vouches for in this very file. Whoever stole that one could have done the same; a newer trust file tells.',
    );
  return [...followed, ...(policy?.logs ?? [])];
}

async function headOf(
  ex: Examination,
  index: EvidenceIndex,
  keys: readonly LogVkey[],
): Promise<Checkpoint | null> {
  let head: Checkpoint | null = null;
  await ex.step('The log signed its head', MEMBER.checkpoint, () => {
    const checked = checkHead(ex, index, keys);
    head = checked.head;
    return checked.outcome;
  });
  return head;
}

/** Evidence of another site is no evidence of this one, however genuine. */
function checkSite(ex: Examination, index: EvidenceIndex, { site, logs }: EvidenceTrust): void {
  const { site: said, origin } = index;
  if (site !== null && said !== site)
    ex.fail(MEMBER.index, `It is evidence of ${said}; what is believed here is of ${site}.`, {
      field: '/site',
      code: 13,
    });
  const base = `${said}/ledger`;
  const named =
    origin === base || (origin.startsWith(`${base}/`) && /^[1-9]\d*$/.test(origin.slice(base.length + 1)));
  if (!named) ex.fail(MEMBER.index, `The log ${origin} is not one of ${said}.`, { field: '/origin' });
  if (logs.length > 0 && !logs.some((log) => log.origin === origin))
    ex.fail(MEMBER.index, `The log ${origin} is not among those believed here.`, {
      field: '/origin',
      code: 13,
    });
}

function conclude(ex: Examination, opened: OpenedEvidence | null, replay: ReplayResult): Verification {
  if (opened !== null) addLimits(ex, opened);
  const { findings, checks, unproved } = ex;
  return { code: ex.code(), findings, checks, replay, unproved, opened };
}
