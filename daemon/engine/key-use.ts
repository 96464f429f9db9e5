import type { Refusal } from '../core/refusal.ts';
import { checkKeyUse, type KeyUse } from '../core/security-key.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SignedAct } from '../formats/signed-act.ts';
import type { Batch } from './context.ts';
import type { LoadedPolicy } from './stored-bundles.ts';

/** A signature that was verified, as far as its key is concerned. */
interface Signed {
  act: SignedAct;
  key: string;
  use: KeyUse | null;
}

/** Whether the key of an act that would count also shows what `policy` asks of it, and its counter is ahead. */
export function judgeKeyUse(
  batch: Batch,
  { act, key, use }: Signed,
  policy: LoadedPolicy | null,
): Refusal | null {
  return checkKeyUse({
    key,
    use,
    role: act.role,
    pin_required: policy?.roster.byKey(key)?.pin_required ?? false,
    last_counter: use === null ? null : batch.state.projections.keyCounter(key),
    rules: policy?.compiled.bundle.approvals,
  });
}

/** What a security key said, for the entry: from there its counter is known again. Nothing for a plain key. */
export function keyUseData({ use }: Pick<Signed, 'use'>): JsonObject {
  return use === null ? {} : { security_key: { ...use } };
}
