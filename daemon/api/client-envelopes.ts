import type { SignedActBody } from './client-bodies.ts';
import type { Disclosed } from './client-reading.ts';

/* What goes to and comes from the methods about sensitive values. */

/** The sensitive fields of a decision, without values. */
export interface EnvelopeView {
  decision_id: string;
  action_digest: string;
  environment: string;
  /** Log index of the entry that holds the commitments. */
  record_id: number;
  fields: { field: string; state: 'sealed' | 'withheld' | 'shredded' | 'unkept' | 'missing' }[];
  /** Who may sign what, by answer. */
  roles: Record<'shred' | 'withhold' | 'release', string[]>;
}

/** A signed act about an envelope; `fields` null: all of them. */
export type EnvelopeChangeBody = SignedActBody & { fields: string[] | null };

export interface EnvelopeChanged {
  decision_id: string;
  answer: string;
  fields: string[] | null;
  record_id: number;
  proof: string;
}

export interface DiscloseFieldsBody {
  fields: string[];
  reason: string;
  breakglass?: string;
  actor?: { id: string; role?: string | null };
}

/** Salt (base64) and value of each field, and the proof of the entry that holds their commitments. */
export interface DisclosedFields {
  decision_id: string;
  read: Disclosed;
  values: Record<string, { salt: string; value: unknown }>;
  proof: string;
}

/** A rotation of the envelope key has begun. */
export interface EnvelopeKeyRotated {
  name: 'envelope';
  from: number;
  to: number;
  record_id: number;
  proof: string;
}
