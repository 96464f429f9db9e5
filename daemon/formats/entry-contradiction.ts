import { BoundaryError } from './boundary-error.ts';
import { canonicalText } from './canonical-json.ts';
import { sha256Hex } from './digest.ts';
import type { Entry } from './entry.ts';
import type { JsonObject } from './json.ts';
import { openRotation } from './key-rotation.ts';
import { actionDigest } from './permit.ts';

/**
 * What an entry says twice, and not the same: the member of its data that then cannot be as it was recorded, and why. Null when
 * it does not contradict itself, which says nothing about whether it was changed.
 */
export function innerContradiction({ data }: Pick<Entry, 'data'>): { field: string; why: string } | null {
  const { action, action_digest: own, act, act_digest: actDigest, statement, permit } = data;
  const granted = isObject(permit) ? permit.action_digest : undefined;
  const digest = own ?? granted;
  if (isObject(action) && typeof digest === 'string' && actionDigestOf(action) !== digest)
    return {
      field: '/data/action',
      why: `data.action does not have the digest that data${own === undefined ? '.permit' : ''}.action_digest says`,
    };
  if (isObject(act) && typeof actDigest === 'string' && sha256Hex(canonicalText(act)) !== actDigest)
    return { field: '/data/act', why: 'data.act does not have its digest, data.act_digest' };
  if (granted !== undefined && typeof digest === 'string' && granted !== digest)
    return { field: '/data/permit', why: 'data.permit is for another action than data.action_digest' };
  if (typeof statement === 'string' && !isRotation(statement))
    return { field: '/data/statement', why: 'data.statement is not signed by the keys that it names' };
  return null;
}

function actionDigestOf(action: JsonObject): string {
  const { class: name = null, intent = null, target = null, payload = null } = action;
  return actionDigest({ class: name, intent, target, payload });
}

function isRotation(statement: string): boolean {
  try {
    openRotation(statement);
    return true;
  } catch (error) {
    if (error instanceof BoundaryError) return false;
    throw error;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
