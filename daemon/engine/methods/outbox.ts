import { parseAnchorName } from '../../formats/anchor.ts';
import { sha256Hex } from '../../formats/digest.ts';
import type { JsonObject } from '../../formats/json.ts';
import { anchorText } from '../anchors.ts';
import type { Batch, EngineState } from '../context.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { sitePolicy } from '../site-acts.ts';

const STREAM = 'outbox';

/** An acknowledgement whose signature was verified by whoever brings it. */
export interface AcknowledgedFile {
  file: string;
  sha256: string;
  received_at: string;
  /** Verifier key that it holds under. */
  vkey: string;
  /** With which anybody can check it again: DSSE over the canonical words, base64. */
  signature: string;
}

/** `outbox.keys`: the keys that the policy in force gives headquarters for acknowledging. */
export function outboxKeys(state: EngineState): EngineReply {
  return reply(200, { keys: keysOf(state) });
}

function keysOf({ policies }: EngineState): readonly string[] {
  return sitePolicy(policies)?.compiled.bundle.headquarters?.acknowledgement_keys ?? [];
}

/**
 * `outbox.acknowledge`: records, in one entry, that headquarters has these files; only then may they be deleted. What is
 * on record already is not recorded again, and a key that policy took away meanwhile counts no more. Answers with the
 * digests that are on record now.
 */
export function acknowledgeOutbox(batch: Batch, call: EngineCall): AfterCommit {
  const { files } = JSON.parse(call.body ?? '{}') as { files: AcknowledgedFile[] };
  const keys = keysOf(batch.state);
  const isKnown = ({ sha256 }: AcknowledgedFile): boolean =>
    batch.state.projections.standing('acknowledgement', sha256) !== null;
  const known = files.filter(isKnown);
  const fresh = files.filter((file) => !isKnown(file) && keys.includes(file.vkey));
  const acknowledged = [...known, ...fresh].map(({ sha256 }) => sha256);
  if (fresh.length === 0) return () => reply(200, { acknowledged, record_id: null });
  const { index } = batch.record(
    STREAM,
    'outbox.acknowledged',
    { id: null, role: 'headquarters' },
    { files: fresh.map((file) => recordedFile(batch.state, file)) },
  );
  return () => reply(200, { acknowledged, record_id: index });
}

/** With the size of the tree that headquarters now knows, where the file is an anchor: by its bytes, not by its name. */
function recordedFile(state: EngineState, file: AcknowledgedFile): JsonObject {
  const named = parseAnchorName(file.file.slice(file.file.lastIndexOf('/') + 1));
  const text = named === null ? null : anchorText(state, named.old, named.size);
  const isAnchor = text !== null && sha256Hex(text) === file.sha256;
  return { ...file, ...(named !== null && isAnchor ? { anchor: named.size } : {}) };
}
