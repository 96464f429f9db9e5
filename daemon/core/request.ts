import type { JsonObject } from '../formats/json.ts';

export interface Target {
  type: string;
  id: string;
}

/**
 * What an actor asks for (contract: "A request"). The API has checked types and unknown envelope fields; what the audit
 * minimum demands may still be missing: absent fields are `null` here, and the engine decides what their absence does.
 */
export interface DecisionRequest {
  action: {
    class: string | null;
    intent: string | null;
    target: Target | null;
    payload: JsonObject;
  };
  context: {
    actor: { id: string | null; role: string | null };
    environment: string | null;
    request_source: string | null;
    trace: { correlation_id: string | null; parent_id: string | null };
    labels: Record<string, string>;
  };
  /** The decision that this one re-evaluates, if any. */
  linked_to: string | null;
}
