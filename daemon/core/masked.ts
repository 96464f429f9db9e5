import type { Entry } from '../formats/entry.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { Decision } from './decision.ts';

/*
 * What lists show in place of payload values while the policy has reading rights: every value gives way to a mark, names
 * of fields stay. A resolved call holds the values too, so its place is marked as a whole. What is masked is a view: it
 * hashes to nothing.
 */

/** Stands for a value that whoever has the right `raw` may open. */
export const MASK: JsonObject = { $masked: 'reading.raw' };

/** A payload without its values; commitments and what was withheld before stay as they are recorded. */
export function maskPayload(payload: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(payload).map(([field, value]) => [field, isMark(value) ? value : { ...MASK }]),
  );
}

/** An entry as a list shows it; the same object when it holds no payload. */
export function maskEntry(entry: Entry): Entry {
  const { data } = entry;
  const { action, call, permit } = data;
  const masked: JsonObject = {};
  if (isObject(action) && isObject(action.payload) && Object.keys(action.payload).length > 0)
    masked.action = { ...action, payload: maskPayload(action.payload) };
  if (isObject(call)) masked.call = { ...MASK };
  if (isObject(permit) && permit.call !== undefined) masked.permit = { ...permit, call: { ...MASK } };
  return Object.keys(masked).length === 0 ? entry : { ...entry, data: { ...data, ...masked } };
}

/** Whether values of the payload that an entry holds are not shown in it. */
export function hasMaskedPayload({ data: { action } }: Entry): boolean {
  if (!isObject(action) || !isObject(action.payload)) return false;
  return Object.values(action.payload).some((value) => isObject(value) && Object.hasOwn(value, '$masked'));
}

/** A decision as a list shows it, without proofs: those carry the entries' bytes. */
export function maskDecision(decision: Decision): JsonObject {
  const { permit, ledger, ...rest } = decision;
  const { write_state, record_id } = ledger;
  const shown = {
    ...rest,
    action: { ...decision.action, payload: maskPayload(decision.action.payload) },
    ledger: { write_state, record_id },
    ...(permit === undefined ? {} : { permit: { id: permit.id, expires_at: permit.expires_at } }),
  };
  return shown as unknown as JsonObject;
}

/** What takes a value's place in the record itself, and says nothing of it. */
const MARKS: readonly string[] = ['$commitment', '$withheld', '$masked'];

function isMark(value: Json): boolean {
  const [key, ...others] = isObject(value) ? Object.keys(value) : [];
  return key !== undefined && others.length === 0 && MARKS.includes(key);
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
