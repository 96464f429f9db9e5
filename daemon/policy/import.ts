import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { recordableText } from '../core/scrub.ts';
import type { Readiness } from '../engine/preparations.ts';
import { type EngineHandle, type EngineMethod, type EngineReply, textOf } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { bundlesNamed } from '../formats/site-target.ts';
import type { Clock } from '../host/clock.ts';
import type { SitePaths } from '../host/site.ts';
import { acceptedResult, type ImportResult, recordOf } from './import-result.ts';
import type { GoodUpdate, JudgeJob, Judgement } from './judge.ts';
import { leaveOnMedium } from './receipt-medium.ts';
import type { ReceiptBook } from './receipts.ts';
import type { PolicyStore } from './store.ts';

export type { ImportResult, LeftReceipt, Waiting } from './import-result.ts';

export interface ImportRequest {
  /** Directory that holds `metadata/` and `targets/`: a medium, a mirror, the inbox. Trusted with nothing. */
  path: string;
  /** How entries name where it came from; `path` when absent. */
  source?: string;
  paths: SitePaths;
  site: string;
  engine: EngineHandle;
  store: PolicyStore;
  clock: Clock;
  /** Principal or process that asks, for the record; null when nobody is known. */
  who: string | null;
  /** Makes the receipts; none are made when absent. */
  receipts?: ReceiptBook;
  /** Whether to count, for the record, what the update would have changed. */
  simulate?: boolean;
  /** `judgeUpdate` in another thread, say; in this one when absent. */
  judge?: (job: JudgeJob, onGood: (update: GoodUpdate) => void) => Promise<Judgement>;
}

/**
 * The only way in for policy: judge (copy from the medium → verify against the pinned root and what was accepted before →
 * check → count → store durably), then let the engine record and activate it in one entry. Imports take turns. Throws BoundaryError
 * `update.not_a_repository` when there is nothing to import at `path`; every other "no" is the result.
 */
export async function importUpdate(request: ImportRequest): Promise<ImportResult> {
  assertRepository(request.path);
  const result = await request.store.imports.take(async () =>
    withReceipt(request, await importInTurn(request)),
  );
  if (result !== null) return result;
  const reason =
    'Other imports are waiting for their turn already; nothing was imported. Try again when they are done.';
  return { applied: false, code: 'engine.busy', reason, record_id: null };
}

async function importInTurn(request: ImportRequest): Promise<ImportResult> {
  const before = await positionOf(request);
  if ('applied' in before) return before;
  let judgement: Judgement;
  let prepared: Promise<void> | null = null;
  try {
    judgement = await judge(request, before, (update) => {
      if (update.updateId === before.inForce?.updateId) return;
      prepared = prepare(request.engine, update);
      // It may fail before anybody waits for it; whoever waits for it then hears of it.
      prepared.catch(() => {});
    });
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refuseUpdate(request, error.code, error.message);
  }
  await prepared;
  return apply(request, judgement);
}

/** What became of an import is on record by now: a receipt that cannot be written changes nothing about it. */
async function withReceipt(request: ImportRequest, result: ImportResult): Promise<ImportResult> {
  const { receipts, path, paths } = request;
  const again = 'unchanged' in result && result.unchanged;
  if (receipts === undefined || (result.record_id === null && !again)) return result;
  try {
    const receipt =
      result.applied && result.record_id === null
        ? await receipts.inForce()
        : await receipts.of(result.record_id);
    if (receipt === null) return { ...result, receipt: null };
    const medium = isWithin(paths.root, path) ? null : await leaveOnMedium(path, receipt);
    const file = join(paths.outbox, receipt.name);
    return {
      ...result,
      receipt: { file: existsSync(file) ? file : null, medium, envelope: receipt.text },
    };
  } catch {
    // The next import, or the next start, makes it up.
    return { ...result, receipt: null };
  }
}

function isWithin(root: string, path: string): boolean {
  return `${realpathSync(path)}/`.startsWith(`${realpathSync(root)}/`);
}

async function judge(
  request: ImportRequest,
  { inForce, newest, now }: Position,
  onGood: (update: GoodUpdate) => void,
): Promise<Judgement> {
  const { path, site, paths, simulate } = request;
  // Loaded when an update comes: what reads a TUF repository is large.
  const run = request.judge ?? (await import('./judge.ts')).judgeUpdate;
  const job: JudgeJob = {
    path,
    site,
    area: paths.state,
    store: paths.policy,
    root: join(paths.trust, 'root.json'),
    inForce,
    newest,
    now,
    ledger: simulate === true ? { path: paths.ledger, trust: paths.trust } : null,
  };
  return run(job, onGood);
}

/** Between two steps of preparation the engine has so long for everybody else. */
const BREATH_MS = 1;

/**
 * The engine makes the bundles ready between decisions, until they can be put in force; what it cannot prepare it says
 * when it is to apply it. The rules of a class are left until its first request: most have none for hours, and making all
 * of them ready keeps more people waiting than that does.
 */
async function prepare(engine: EngineHandle, { siteTarget }: GoodUpdate): Promise<void> {
  const enough: readonly unknown[] = ['open', 'ready'] satisfies Readiness[];
  for (const digest of new Set(bundlesNamed(siteTarget).map(([, { digest }]) => digest)))
    for (;;) {
      const { status, body } = await ask(engine, 'policy.prepare', null, { digest });
      if (status !== 200 || enough.includes(body.readiness)) break;
      await pause(BREATH_MS);
    }
}

interface Position {
  inForce: JudgeJob['inForce'];
  newest: string | null;
  now: number;
}

async function apply(
  request: ImportRequest,
  { updateId, versions, siteTarget, expiresAt, added, flips }: Judgement,
): Promise<ImportResult> {
  const answer = await ask(request.engine, 'policy.apply', {
    update_id: updateId,
    source: request.source ?? request.path,
    who: request.who,
    repository: versions,
    site_target: siteTarget as unknown as JsonObject,
    flips: flips as unknown as JsonObject | null,
    checked: true,
    expires_at: expiresAt,
  });
  if (answer.status === 200) {
    // What waited until now, and never came into force.
    for (const id of (answer.body.forget ?? []) as string[]) request.store.forget(id);
    return acceptedResult(answer.body, updateId, siteTarget);
  }
  // What was in force once stays: decisions of that time are pinned to it. So does what may be in force yet: an engine
  // that could not answer may have committed all the same.
  if (answer.status < 500) request.store.drop(added);
  const { code, detail } = answer.body;
  return refuseUpdate(
    request,
    typeof code === 'string' ? code : 'engine.failure',
    typeof detail === 'string'
      ? detail
      : 'The engine did not accept the update. The policy in force stays as it was.',
  );
}

/** A refused update is an entry too: headquarters and auditors must see that somebody offered it. */
async function refuseUpdate(request: ImportRequest, code: string, reason: string): Promise<ImportResult> {
  const answer = await ask(request.engine, 'policy.refuse', {
    source: request.source ?? request.path,
    who: request.who,
    code,
    reason,
  });
  // Where even that cannot be written the ledger is the trouble, and `status` says so.
  return { applied: false, code, reason, record_id: answer.status === 200 ? recordOf(answer.body) : null };
}

/** Which update is in force, and the latest time that the site can vouch for: a clock set back must not revive old metadata. */
async function positionOf({
  engine,
  clock,
}: ImportRequest): Promise<Position | Extract<ImportResult, { applied: false }>> {
  const policy = await ask(engine, 'policy.get', null, { brief: '1' });
  if (policy.status !== 200) {
    // Without it an older update could not be told from a newer one.
    const reason =
      'The engine does not say which policy is in force, so nothing was imported. Try again later.';
    return { applied: false, code: String(policy.body.code), reason, record_id: null };
  }
  const status = await ask(engine, 'status.get', null);
  const { update_id, newest_offered, environments } = policy.body as {
    update_id?: string | null;
    newest_offered?: string | null;
    environments?: { digest: string }[];
  };
  return {
    inForce:
      typeof update_id === 'string'
        ? { updateId: update_id, digests: (environments ?? []).map(({ digest }) => digest) }
        : null,
    newest: newest_offered ?? null,
    now: earliestNow(status.body.time as JsonObject | undefined, clock),
  };
}

/** The earliest that it can be. A clock that cannot be believed has no say in it: one that is a year ahead would refuse everything as expired. */
function earliestNow(time: JsonObject | undefined, clock: Clock): number {
  const [floor, atLeast] = [Date.parse(String(time?.floor)), Date.parse(String(time?.at_least))];
  const known = Math.max(0, ...[floor, atLeast].filter(Number.isFinite));
  return time?.trust === 'uncertain' ? known : Math.max(clock.now(), known);
}

async function ask(
  engine: EngineHandle,
  method: EngineMethod,
  body: JsonObject | null,
  args: Record<string, string> = {},
): Promise<{ status: number; body: JsonObject }> {
  const answer: EngineReply = await engine.call({
    method,
    args,
    body: body === null ? null : JSON.stringify(body),
    key: null,
    peer: { socket: 'internal', uid: null },
  });
  return { status: answer.status, body: JSON.parse(textOf(answer)) as JsonObject };
}

/** A mistyped path is a mistake, not an offer of policy, and makes no entry. */
function assertRepository(path: string): void {
  if (existsSync(join(path, 'metadata', 'timestamp.json'))) return;
  const nested = ['repository', 'holdfast']
    .map((name) => join(path, name))
    .find((dir) => existsSync(join(dir, 'metadata', 'timestamp.json')));
  const hint =
    nested === undefined
      ? 'Name the directory that holds metadata/ and targets/.'
      : `Did you mean ${nested}?`;
  // Whatever was pasted here instead of a path is not repeated.
  const shown = recordableText(path);
  throw new BoundaryError(
    'update.not_a_repository',
    `There is no policy repository in ${shown} (no metadata/timestamp.json that this process may read); nothing was imported. ${hint}`,
    { at: shown },
  );
}
