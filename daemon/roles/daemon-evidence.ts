import type { Answer, HostServices } from '../api/dispatch.ts';
import { trustOf } from '../commands/own-trust.ts';
import type { Mentions } from '../core/evidence-mentions.ts';
import { MENTIONS_MAX } from '../core/evidence-scope.ts';
import type { EvidenceOfDecision } from '../engine/methods/evidence.ts';
import { type EngineCall, type EngineHandle, internal, type Peer, textOf } from '../engine/protocol.ts';
import type { NoteSigner } from '../formats/signed-note.ts';
import type { SiteConfig } from '../host/config.ts';
import type { SitePaths } from '../host/site.ts';
import type { PolicyStore } from '../policy/store.ts';

/** What the daemon needs to hand out evidence. */
export interface EvidenceParts {
  config: SiteConfig;
  paths: SitePaths;
  engine: EngineHandle;
  store: PolicyStore;
  /** The ledger's key; asked for when something is to be signed. */
  signer: () => NoteSigner;
}

interface ExportBody {
  decision_id: string;
  reason: string;
  show?: string[];
  actor?: string;
}

/** Decisions that many entries name are named in passing. */
const NAMED_MAX = 4 * MENTIONS_MAX;

/** `evidence.export`, one at a time: each holds its tar in memory. */
export function evidenceServices(parts: EvidenceParts): HostServices {
  let last: Promise<unknown> = Promise.resolve();
  return {
    'evidence.export': ({ body, peer }) => {
      const turn = last.then(() => exportEvidence(parts, body as unknown as ExportBody, peer));
      last = turn.catch(() => {});
      return turn;
    },
  };
}

/** Record it → gather, under one checkpoint that covers the record → put together and sign → hand out. */
async function exportEvidence(parts: EvidenceParts, body: ExportBody, peer: Peer): Promise<Answer> {
  const { engine } = parts;
  const recorded = await recordExport(engine, body, peer);
  if (typeof recorded !== 'number') return recorded;
  const mentions = await mentionsOf(engine, body.decision_id);
  const answer = await engine.call({
    ...internal('evidence.gather', JSON.stringify({ mentions, show: body.show ?? [] })),
    args: { id: body.decision_id },
  });
  if (answer.status !== 200) return answer;
  const found = JSON.parse(textOf(answer)) as EvidenceOfDecision;
  const bytes = await compose(parts, found, recorded);
  return { status: 200, body: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/** No record, no export: one entry for the evidence, and one before it for the values in it. Gives the index of the former. */
async function recordExport(
  engine: EngineHandle,
  { decision_id, reason, show = [], actor }: ExportBody,
  peer: Peer,
): Promise<Answer | number> {
  const disclose = (right: 'raw' | 'export'): Promise<Answer> => {
    const body = {
      right,
      subject: { what: 'evidence', decision_id },
      reason,
      ...(actor === undefined ? {} : { actor: { id: actor } }),
    };
    const call: EngineCall = { ...internal('ledger.disclose', JSON.stringify(body)), peer };
    return engine.call(call);
  };
  const raw = show.length === 0 ? null : await disclose('raw');
  if (raw !== null && raw.status !== 200) return raw;
  const answer = await disclose('export');
  if (answer.status !== 200) return answer;
  return (JSON.parse(textOf(answer)) as { index: number }).index;
}

/** The entries that name the decision, from its first on; a step at a time, between which others are served. */
async function mentionsOf(engine: EngineHandle, id: string): Promise<Omit<Mentions, 'next'>> {
  const all: Omit<Mentions, 'next'> = { found: [], unsearched: 0 };
  let next: number | null | undefined;
  while (next !== null && all.found.length < NAMED_MAX) {
    const args = { id, ...(next === undefined ? {} : { from: String(next) }) };
    const answer = await engine.call({ ...internal('evidence.mentions', null), args });
    // Whoever gathers the rest next says why.
    if (answer.status !== 200) return all;
    const page = JSON.parse(textOf(answer)) as Mentions;
    all.found.push(...page.found);
    all.unsearched += page.unsearched;
    next = page.next;
  }
  return all;
}

async function compose(
  { config, paths, store, signer }: EvidenceParts,
  { gathered, shown }: EvidenceOfDecision,
  record: number,
): Promise<Uint8Array> {
  // Seldom asked for, and a good part of the program comes with it.
  const { composeEvidence, policyNeeded, unpackUpdate } = await import('../evidence/compose.ts');
  const needed = policyNeeded(gathered);
  const stored =
    needed === null ? null : store.readUpdate(needed.digest, needed.update_id, needed.environment);
  return composeEvidence(
    {
      site: config.site,
      gathered,
      update: unpackUpdate(stored),
      trust: Buffer.from(`${JSON.stringify(trustOf({ paths, config }), null, 2)}\n`, 'utf8'),
      shown,
      record,
    },
    signer(),
  );
}
