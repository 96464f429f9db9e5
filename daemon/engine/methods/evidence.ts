import { type Gathered, gatherEvidence, uniquePart } from '../../core/evidence-scope.ts';
import { noDecision } from '../../core/lifecycle.ts';
import type { SealedValues } from '../../core/sensitive.ts';
import type { EngineState } from '../context.ts';
import { openEnvelope, withheldFields } from '../envelopes.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { problem, reply } from '../reply.ts';

/** Entries looked through in one call: the writer's thread has other things to do. */
const LOOKED_THROUGH = 512;

/** What `evidence.mentions` answers. */
export interface Mentions {
  /** Log indexes. */
  found: number[];
  /** Where to go on; null at the end. */
  next: number | null;
}

/**
 * `evidence.mentions`: entries from an index on that name a decision and are not its own, as far as one call looks. The
 * bytes are searched, not read: it is a question of which entries, not of what they mean.
 */
export function mentionedIn({ ledger }: EngineState, { args }: EngineCall): EngineReply {
  const from = Number(args.from ?? 0);
  const decision = args.id ?? '';
  const entries = ledger.entries(from, LOOKED_THROUGH);
  const needle = uniquePart(decision);
  const own = `"stream":"${decision}"`;
  const found = entries.flatMap(({ index, bytes }) => {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return text.includes(needle) && !text.includes(own) ? index : [];
  });
  // Closed segments may lie in archives: fewer entries than asked for are not yet the end.
  const last = entries.at(-1)?.index ?? ledger.size;
  const next = last + 1 < ledger.size ? last + 1 : null;
  return reply(200, { found, next } satisfies Mentions);
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
  const { mentions, show } = JSON.parse(body ?? '{}') as { mentions?: number[]; show?: string[] };
  const gathered = gatherEvidence(state.ledger, id, mentions ?? []);
  if (gathered === null) return problem(noDecision(id));
  const sealed = openEnvelope(state, id) ?? {};
  const held = new Set(withheldFields(state, id));
  const shown = Object.entries(sealed).filter(
    ([field]) => show?.includes(field) === true && !held.has(field),
  );
  return reply(200, {
    gathered,
    shown: Object.fromEntries(shown),
  } satisfies EvidenceOfDecision);
}
