import type { Json, JsonObject } from '../formats/json.ts';
import type { DecisionRequest } from './request.ts';
import { type SecretScanner, secretScanner } from './secrets.ts';
import type { GateResult, Verdict } from './verdict.ts';

/** Most payload members that are recorded; more than any class allows. */
const KEYS_MAX = 64;
export const WITHHELD_KEYS = '$withheld_keys';
/** Only these gates speak about the content of a field. An unknown actor or a wrong target is evidence and stays. */
const WITHHOLDING = new Set(['secrets.pattern', 'payload.allowlist', 'payload.field', 'labels.allowlist']);
const builtIn = secretScanner();

/** Whether a name that came with a request may be written down: short, plain, and no credential itself. */
export function isRecordableName(name: string): boolean {
  return /^[A-Za-z0-9_.:@-]{1,64}$/.test(name) && builtIn.find(name) === null;
}

/**
 * What of a request may be recorded. A value that a failed gate about content names gives way to `{"$withheld": "<gate>"}` (text
 * fields: `[withheld: <gate>]`); names that are no plain names vanish and are counted. A gate that names `payload` as
 * such withholds every value of it: without a known class nobody knows which are sensitive.
 */
export function scrubRequest(request: DecisionRequest, verdict: Pick<Verdict, 'gates'>): DecisionRequest {
  const withheld = withheldFields(verdict.gates);
  if (withheld === null) return request;
  const text = (field: string, value: string | null) => scrubText(withheld, field, value);
  const { action, context } = request;
  const { target } = action;
  return {
    action: {
      class: text('class', action.class),
      intent: text('intent', action.intent),
      target:
        target === null
          ? null
          : {
              type: text('target.type', target.type) ?? '',
              id: text('target.id', target.id) ?? '',
            },
      payload: scrubPayload(action.payload, withheld),
    },
    context: {
      actor: { id: text('actor.id', context.actor.id), role: text('actor.role', context.actor.role) },
      environment: text('environment', context.environment),
      request_source: text('request_source', context.request_source),
      trace: {
        correlation_id: text('trace.correlation_id', context.trace.correlation_id),
        parent_id: text('trace.parent_id', context.trace.parent_id),
      },
      labels: scrubLabels(context.labels, withheld),
    },
    linked_to: request.linked_to,
  };
}

/** Whether a failed gate keeps the value of its field out of the record. */
export function isWithholding({ id, result, field }: Pick<GateResult, 'id' | 'result' | 'field'>): boolean {
  return result === 'fail' && field !== undefined && WITHHOLDING.has(id);
}

/** Free text as it may be recorded: as it is, or withheld when it looks like it holds a secret. */
export function recordableText(text: string, secrets: SecretScanner = builtIn): string {
  return secrets.find(text) === null ? text : withheldText('secrets.pattern');
}

/** What stands in a text field in place of a withheld value. */
export function withheldText(gate: string): string {
  return `[withheld: ${gate}]`;
}

/** Field → gate that withholds it; null when none does. */
function withheldFields(gates: readonly GateResult[]): Map<string, string> | null {
  let fields: Map<string, string> | null = null;
  for (const gate of gates) {
    const { id, field } = gate;
    if (field === undefined || !isWithholding(gate)) continue;
    fields ??= new Map();
    fields.set(field, id);
  }
  return fields;
}

function scrubText(withheld: Map<string, string>, field: string, value: string | null): string | null {
  const gate = withheld.get(field);
  return value === null || gate === undefined ? value : withheldText(gate);
}

function scrubPayload(payload: JsonObject, withheld: Map<string, string>): JsonObject {
  const all = withheld.get('payload');
  const scrubbed: JsonObject = {};
  let hidden = 0;
  let kept = 0;
  for (const key of Object.keys(payload)) {
    if (kept >= KEYS_MAX || !isRecordableName(key)) {
      hidden += 1;
      continue;
    }
    const gate = withheld.get(`payload.${key}`) ?? all;
    scrubbed[key] = gate === undefined ? (payload[key] as Json) : { $withheld: gate };
    kept += 1;
  }
  if (hidden > 0) scrubbed[WITHHELD_KEYS] = hidden;
  return scrubbed;
}

function scrubLabels(labels: Record<string, string>, withheld: Map<string, string>): Record<string, string> {
  const scrubbed: Record<string, string> = {};
  let hidden = 0;
  for (const [key, value] of Object.entries(labels)) {
    if (!isRecordableName(key)) hidden += 1;
    else scrubbed[key] = scrubText(withheld, `labels.${key}`, value) ?? '';
  }
  if (hidden > 0) scrubbed[WITHHELD_KEYS] = String(hidden);
  return scrubbed;
}
