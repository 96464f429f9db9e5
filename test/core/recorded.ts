import type { CompiledBundle } from '../../daemon/core/compile.ts';
import { draftDecision } from '../../daemon/core/create.ts';
import { evaluateWithoutPolicy, type Facts, scrubRequest } from '../../daemon/core/evaluate.ts';
import { normalizeRequest } from '../../daemon/core/normalize.ts';
import { redactPayload } from '../../daemon/core/sensitive.ts';
import { decodeEntry, type Entry, encodeEntry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { FACTS } from './sample.ts';

/** The first entry that a site would write for a request body: judged, redacted, scrubbed, printed, read back. */
export function recordedEntry(
  body: JsonObject,
  bundle: CompiledBundle | null,
  facts: Partial<Facts> = {},
): Entry {
  const request = normalizeRequest(body);
  const { action } = request;
  const rules = action.class === null ? undefined : bundle?.bundle.actions[action.class];
  const payload =
    rules === undefined
      ? action.payload
      : redactPayload(action.payload, rules, () => new Uint8Array(32)).payload;
  const all = { ...FACTS, redacted: payload, ...facts };
  const verdict = bundle === null ? evaluateWithoutPolicy(request, all) : bundle.evaluate(request, all);
  const recordable = scrubRequest({ ...request, action: { ...action, payload } }, verdict);
  const { type, data } = draftDecision(recordable, verdict, {
    decision_id: all.decision_id,
    now_ms: all.now_ms,
    profile: 'dev',
    policy: bundle === null ? null : { digest: bundle.digest, version: bundle.version },
    audience: 'gateway',
    tool: rules?.tool ?? null,
    idempotency: null,
    ...(all.freshness === undefined ? {} : { freshness: all.freshness }),
  });
  const entry: Entry = {
    v: 1,
    site: 'outpost-7.example',
    type,
    at: new Date(all.now_ms).toISOString(),
    time_trust: all.time_trust,
    stream: all.decision_id,
    seq: 0,
    prev: null,
    actor: recordable.context.actor,
    data,
  };
  return decodeEntry(encodeEntry(entry));
}
