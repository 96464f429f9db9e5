import { isRefusal, type Refusal, refuse } from '../core/refusal.ts';
import { type Roster, rosterAt } from '../core/roster.ts';
import { type ExpectedAct, judgeSiteAct } from '../core/site-act.ts';
import type { EntryActor } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { ActKind, SignedAct } from '../formats/signed-act.ts';
import type { Batch } from './context.ts';
import { judgeKeyUse } from './key-use.ts';
import { actData, readAct } from './methods/read-act.ts';
import type { Policies } from './policies.ts';
import type { LoadedPolicy } from './stored-bundles.ts';
import { isOfFormerLog } from './succeed.ts';

/** A signed act about the site that counts: what it says, who gave it, and itself as evidence for the entry's `data`. */
export interface CountedAct {
  act: SignedAct;
  actor: EntryActor;
  /** The exact envelope, its signature, key, nonce, principal and role. */
  data: JsonObject;
}

/**
 * Reads `{"act", "signature"}`, checks the signature, and judges the act against the roster in force. `expected` gets the
 * act and its key's fingerprint, for what can only be known from them (which subject, which scope, whose). A refusal is not recorded here.
 */
export function countSiteAct(
  batch: Batch,
  body: string | null,
  kinds: readonly ActKind[],
  expected: (act: SignedAct, key: string) => ExpectedAct | Refusal,
  roster: Roster | null = sitePolicy(batch.state.policies)?.roster ?? null,
): CountedAct | Refusal {
  const submitted = readAct(body, kinds);
  if ('refused' in submitted) return submitted;
  const { act, key } = submitted;
  const { site, projections } = batch.state;
  if (isOfFormerLog(act, batch.state.ledger)) return ofFormerLog();
  const wanted = expected(act, key);
  if (isRefusal(wanted)) return wanted;
  const person = judgeSiteAct({
    site,
    act,
    key,
    // A statement about the time must count while the clock is doubted; everything else waits for that anyway.
    roster: roster === null ? null : rosterAt(roster, { now: batch.now, trust: 'floor' }),
    nonce_used: projections.nonceUsed(act.nonce),
    now_ms: batch.now,
    time_trust: batch.trust,
    expected: wanted,
  });
  if (isRefusal(person)) return person;
  const unfit = judgeKeyUse(batch, submitted, sitePolicy(batch.state.policies));
  if (unfit !== null) return unfit;
  return {
    act,
    actor: { id: person.principal, role: person.role },
    data: actData(submitted, person),
  };
}

function ofFormerLog(): Refusal {
  return refuse(
    'act.former_log',
    'This was signed before the site was restored, for a log that is closed. It does not count any more; sign it again.',
  );
}

/** The policy that speaks for the site as a whole: production's, or any where there is no production. */
export function sitePolicy(policies: Policies): LoadedPolicy | null {
  return policies.forSite();
}
