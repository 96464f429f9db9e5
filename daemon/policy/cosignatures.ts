import type { TakenCosignatures } from '../core/anchor-report.ts';
import { type EngineHandle, internal, type Problem, textOf } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { CheckpointTrust } from '../formats/checkpoint.ts';
import { type CosignedCheckpoint, openCosigned } from '../formats/cosignature.ts';
import { toHex } from '../formats/digest.ts';
import type { TlogPolicy } from '../formats/tlog-policy.ts';

export interface CosignedOptions {
  engine: EngineHandle;
  /** What the site's own tree heads are signed with. */
  trust(): CheckpointTrust;
  /** The site's tlog-policy; null when there is none. */
  witnesses(): TlogPolicy | null;
}

/** What the engine answers when nothing is wrong with the cosignatures: they are to be brought again. */
const LATER: readonly number[] = [429, 503];

/**
 * Takes in a cosigned checkpoint: is it signed by this site's log? → which of its witnesses cosigned it? → record what is
 * new. Also a checkpoint that nobody cosigned is looked at by the ledger: one of another history is a finding, whoever
 * brought it.
 *
 * Throws `BoundaryError`: `note.*`, `checkpoint.*`, `cosignature.*` for what is not worth keeping, `ledger.forked` and `ledger.set_back` when
 * it tells another history, `ledger.unavailable` when it is to be brought again.
 */
export async function takeCosigned(
  note: string | Uint8Array,
  { engine, trust, witnesses }: CosignedOptions,
): Promise<TakenCosignatures> {
  const policy = witnesses();
  const opened = openCosigned(note, { log: trust(), witnesses: policy?.witnesses ?? [] });
  const { size, root, text, logLines, cosignatures, bad, unknown } = opened;
  const body = { size, root: toHex(root), text, logLines, cosignatures };
  const answer = await engine.call(internal('anchors.cosign', JSON.stringify(body)));
  if (answer.status !== 200) throw refusedBy(answer.status, JSON.parse(textOf(answer)) as Problem);
  if (cosignatures.length === 0) throw nobodyKnown(opened, policy);
  const told = JSON.parse(textOf(answer)) as {
    witnesses: string[];
    record_id: number | null;
    quorum: boolean;
  };
  const known = cosignatures.map(({ witness }) => witness).filter((name) => !told.witnesses.includes(name));
  return {
    size,
    recorded: told.witnesses,
    known,
    quorum: told.quorum,
    record_id: told.record_id,
    bad,
    unknown,
  };
}

/** Whether the same bytes may be taken in later: the site could not record anything now. */
export function isForLater({ code }: BoundaryError): boolean {
  return code === 'ledger.unavailable';
}

function refusedBy(status: number, { code, detail }: Problem): BoundaryError {
  return new BoundaryError(LATER.includes(status) ? 'ledger.unavailable' : code, detail);
}

function nobodyKnown({ bad, size }: CosignedCheckpoint, policy: TlogPolicy | null): BoundaryError {
  if (bad.length > 0)
    return new BoundaryError(
      'cosignature.bad_signature',
      `The checkpoint of ${size} entries carries a line of ${bad.slice(0, 3).join(', ')} that does not verify, so nothing was recorded. It was damaged on the way, or forged: ask the witness for its answer again.`,
    );
  const who =
    policy === null || policy.witnesses.length === 0
      ? 'trust/tlog-policy names no witness. Add a line for each: witness NAME VKEY'
      : `trust/tlog-policy names ${policy.witnesses
          .map(({ name }) => name)
          .slice(0, 8)
          .join(', ')}, and none of them signed it`;
  return new BoundaryError(
    'cosignature.unknown_witness',
    `The checkpoint of ${size} entries is this ledger's, but no witness that is believed here cosigned it; nothing was recorded. ${who}.`,
  );
}
