import { type CosignedData, cosignatureId } from '../../core/cosigned.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { formatCosigned } from '../../formats/cosignature.ts';
import { toHex } from '../../formats/digest.ts';
import { decodeEntry } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { meetsQuorum, type TlogPolicy } from '../../formats/tlog-policy.ts';
import { formatProof } from '../../formats/tlog-proof.ts';
import type { Batch, EngineState } from '../context.ts';
import { type CosignedHead, cosignedAt, newestCosigned } from '../cosigned.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import { COSIGNATURE_STREAM, cosignedTime, learnWith } from '../time-history.ts';
import { recordIncident } from './incidents.ts';
import { refused } from './lifecycle.ts';

/** A checkpoint whose log signature was verified by whoever brings it, with the cosignatures that hold. */
export interface BroughtCosignatures {
  size: number;
  /** Hex. */
  root: string;
  text: string;
  logLines: string[];
  cosignatures: { witness: string; vkey: string; time: number; line: string }[];
}

/** Entries about cosignatures within an hour: far more than anchors by the minute need. */
const HOURLY = 256;
const HOUR_MS = 3_600_000;

const WITNESS = { id: null, role: 'witness' } as const;

/**
 * `anchors.cosign`: cosignatures that came back → is the checkpoint one of this history? → those not known yet, in one
 * entry. What many witnesses say about the time counts for the clock. A checkpoint that this log's key signed and that is
 * not of this history is recorded as an incident: somebody was shown another one.
 */
export function recordCosignatures(batch: Batch, call: EngineCall): AfterCommit {
  const brought = JSON.parse(call.body ?? '{}') as BroughtCosignatures;
  const contradiction = contradictionIn(batch.state, brought);
  if (contradiction !== null) return halted(batch, brought, contradiction);
  const { projections } = batch.state;
  const fresh = brought.cosignatures.filter(
    ({ vkey }) => projections.standing('cosignature', cosignatureId(brought.size, vkey)) === null,
  );
  if (fresh.length > 0 && isFlood(batch)) return refused(tooMany());
  const recorded = fresh.length === 0 ? null : record(batch, brought, fresh);
  return (state) => {
    const quorum = hasQuorum(state.witnesses.usable(), cosignedAt(state, brought.size));
    const names = fresh.map(({ witness }) => witness);
    return reply(200, { size: brought.size, witnesses: names, record_id: recorded, quorum });
  };
}

/** A witness that signs every checkpoint that it can get must not fill the ledger. The clock may have been set either way. */
function isFlood({ state: { ledger }, now }: Batch): boolean {
  const newest = ledger.stream(COSIGNATURE_STREAM, HOURLY);
  const [first] = newest;
  if (first === undefined || newest.length < HOURLY) return false;
  return Math.abs(now - Date.parse(decodeEntry(first.bytes).at)) < HOUR_MS;
}

function tooMany(): Refusal {
  return refuse(
    'limits.too_many_requests',
    `${HOURLY} cosigned checkpoints were recorded within the hour, so this one was not. Bring it again later; of many, the newest is enough.`,
  );
}

function record(batch: Batch, brought: BroughtCosignatures, fresh: BroughtCosignatures['cosignatures']) {
  const { size, root } = brought;
  const note = formatCosigned(brought, fresh);
  const cosignatures = fresh.map(({ witness, vkey, time }) => ({ witness, vkey, time: isoSeconds(time) }));
  const data = { size, root, cosignatures, note } satisfies CosignedData as unknown as JsonObject;
  const said = believedTime(batch.state, size, cosignatures);
  const outside_time =
    said === null
      ? {}
      : { outside_time: learnWith(batch, cosignedTime(batch.state.time, { at: said, size })) };
  return batch.record(COSIGNATURE_STREAM, 'anchor.cosigned', WITNESS, { ...data, ...outside_time }).index;
}

/**
 * What time it is at least, by the word of so many witnesses of this checkpoint as the policy wants: the latest time
 * that a quorum of them agrees has come. One witness with a wrong clock must not move the floor by itself. Null without a
 * quorum, and where the policy asks for none.
 */
function believedTime(state: EngineState, size: number, fresh: CosignedData['cosignatures']): number | null {
  const policy = state.witnesses.usable();
  if (policy === null || policy.quorum === null) return null;
  const all = [...(cosignedAt(state, size)?.witnesses ?? []), ...fresh]
    .map(({ vkey, time }) => ({ vkey, at: Date.parse(time) }))
    .sort((a, b) => b.at - a.at);
  const agreed = all.find((_, index) =>
    meetsQuorum(policy, new Set(all.slice(0, index + 1).map(({ vkey }) => vkey))),
  );
  return agreed?.at ?? null;
}

/** What a checkpoint that this log's key signed says against this ledger; null when it is one of its own. */
function contradictionIn({ ledger }: EngineState, { size, root }: BroughtCosignatures): Refusal | null {
  if (size > ledger.size)
    return refuse(
      'ledger.set_back',
      `A checkpoint of ${size} entries exists that this ledger's key signed, and the ledger has ${ledger.size}: it was set back, or the key is used elsewhere.`,
    );
  if (toHex(ledger.root(size)) === root) return null;
  return refuse(
    'ledger.forked',
    `Another history of ${size} entries exists than this ledger's, signed by its key: the ledger was changed or forked, or the key is used elsewhere.`,
  );
}

function halted(
  batch: Batch,
  { size, root, cosignatures }: BroughtCosignatures,
  { refused: code, message }: Refusal,
): AfterCommit {
  const { ledger } = batch.state;
  const own = size > ledger.size ? {} : { own_root: toHex(ledger.root(size)) };
  const noticed = recordIncident(batch, {
    cause: 'history_contradicted',
    concerned: { target: null, tool: null },
    detail: message,
    evidence: {
      size,
      root,
      own_size: ledger.size,
      ...own,
      witnesses: cosignatures.map(({ witness }) => witness),
    },
    reporter: 'daemon',
    actor: { id: null, role: 'system' },
  });
  if (isRefusal(noticed)) return refused(noticed);
  return () =>
    problem(
      refuse(
        code,
        `${message} The site is halted (${noticed.id}), and the cosignatures were not taken in. Keep that file: it is proof. Do not delete or restore anything; run holdfast ledger verify, and call whoever is responsible.`,
      ),
    );
}

/** `ledger.checkpoint` with `cosigned`: the newest checkpoint that a quorum of witnesses stands behind. */
export function getCosignedCheckpoint(state: EngineState): EngineReply {
  const head = believedHead(state, 0);
  return head === null ? problem(notCosigned(state, null)) : { status: 200, body: head.note };
}

/** `ledger.proof` with `cosigned`: of an entry, under the newest such checkpoint instead of the newest of all. */
export function getCosignedProof(state: EngineState, index: number): EngineReply {
  const { ledger } = state;
  const head = believedHead(state, index);
  const extra = ledger.entry(index);
  if (head === null || extra === null) return problem(notCosigned(state, index));
  const proof = ledger.inclusionProof(index, head.size);
  return { status: 200, body: formatProof({ index, extra, proof, checkpoint: head.note }) };
}

/** `anchors.cosigned`: how the site stands with its witnesses. */
export function cosignedSummary(state: EngineState): JsonObject | null {
  const policy = state.witnesses.usable();
  if (policy === null || policy.witnesses.length === 0) return null;
  const head = newestCosigned(state, policy);
  return {
    witnesses: policy.witnesses.map(({ name }) => name),
    quorum: policy.quorum,
    newest:
      head === null
        ? null
        : {
            size: head.size,
            entries_since: state.ledger.size - head.size,
            at:
              head.witnesses
                .map(({ time }) => time)
                .sort()
                .at(-1) ?? null,
            by: head.witnesses.map(({ witness }) => witness),
          },
  };
}

function believedHead(state: EngineState, above: number): CosignedHead | null {
  const policy = state.witnesses.usable();
  return policy === null ? null : newestCosigned(state, policy, above);
}

function hasQuorum(policy: TlogPolicy | null, head: CosignedHead | null): boolean {
  return (
    policy !== null && head !== null && meetsQuorum(policy, new Set(head.witnesses.map(({ vkey }) => vkey)))
  );
}

function notCosigned({ ledger }: EngineState, index: number | null) {
  const what =
    index === null ? 'No checkpoint of this ledger is' : `No checkpoint that covers entry ${index} is`;
  return refuse(
    'ledger.not_cosigned',
    `${what} cosigned as trust/tlog-policy wants it; the ledger has ${ledger.size} entries. Export an anchor ("holdfast anchor export"), have the witnesses cosign it, and bring their answers back: holdfast anchor import FILE.`,
  );
}

function isoSeconds(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}
