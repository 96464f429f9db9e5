import { findMentions, type Mentions } from '../../core/evidence-mentions.ts';
import { type Gathered, gatherEvidence } from '../../core/evidence-scope.ts';
import type { SealedValues } from '../../core/sensitive.ts';
import type { EngineState } from '../context.ts';
import { openEnvelope, withheldFields } from '../envelopes.ts';
import { unknownDecision } from '../former-logs.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { problem, reply } from '../reply.ts';

/** Entries looked through in one call: the writer's thread has other things to do. */
const LOOKED_THROUGH = 512;

/**
 * `evidence.mentions`: one step of the search for entries that name a decision, from an index on; without one from its
 * first entry on, before which nothing can name it.
 */
export function mentionedIn({ ledger }: EngineState, { args }: EngineCall): EngineReply {
  const id = args.id ?? '';
  const from = args.from === undefined ? ledger.stream(id)[0]?.index : Number(args.from);
  if (from === undefined) return reply(200, { found: [], unsearched: 0, next: null } satisfies Mentions);
  return reply(200, findMentions(ledger, id, { from, limit: LOOKED_THROUGH }));
}

/** What `evidence.gather` answers. */
export interface EvidenceOfDecision {
  gathered: Gathered;
  /** Salt and value of the fields that were asked for and may be shown. */
  shown: SealedValues;
}

/**
 * `evidence.gather`: everything on record about a decision, with proofs under one checkpoint, and the sensitive values
 * that `show` names. No socket offers it: what it tells is given out only after a record of the export.
 */
export function gatherForExport(state: EngineState, { args, body }: EngineCall): EngineReply {
  const id = args.id ?? '';
  const { mentions, show } = JSON.parse(body ?? '') as {
    mentions: Omit<Mentions, 'next'>;
    show: string[];
  };
  const gathered = gatherEvidence(state.ledger, id, mentions);
  if (gathered === null) return problem(unknownDecision(state.former, id));
  const sealed = openEnvelope(state, id) ?? {};
  const held = new Set(withheldFields(state, id));
  const shown = Object.entries(sealed).filter(([field]) => show.includes(field) && !held.has(field));
  return reply(200, {
    gathered,
    shown: Object.fromEntries(shown),
  } satisfies EvidenceOfDecision);
}
