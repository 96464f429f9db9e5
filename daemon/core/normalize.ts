import type { Json, JsonObject } from '../formats/json.ts';
import type { DecisionRequest } from './request.ts';

/**
 * Brings a schema-checked request body into its one form: what is absent becomes null, an absent payload `{}`. Strings
 * stay as they are: what was asked is what is judged, hashed and shown.
 */
export function normalizeRequest(body: JsonObject): DecisionRequest {
  const action = objectOf(body.action);
  const context = objectOf(body.context);
  const actor = objectOf(context.actor);
  const trace = objectOf(context.trace);
  return {
    action: {
      class: textOf(action.class),
      intent: textOf(action.intent),
      target: targetOf(action.target),
      payload: objectOf(action.payload),
    },
    context: {
      actor: { id: textOf(actor.id), role: textOf(actor.role) },
      environment: textOf(context.environment),
      request_source: textOf(context.request_source),
      trace: { correlation_id: textOf(trace.correlation_id), parent_id: textOf(trace.parent_id) },
      labels: labelsOf(context.labels),
    },
    linked_to: textOf(body.linked_to),
  };
}

function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function targetOf(value: Json | undefined): DecisionRequest['action']['target'] {
  const { type, id } = objectOf(value);
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : null;
}

function labelsOf(value: Json | undefined): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [key, label] of Object.entries(objectOf(value))) {
    if (typeof label === 'string') labels[key] = label;
  }
  return labels;
}
