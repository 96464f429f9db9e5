import type { LogKey } from '../formats/log-keys.ts';
import type { NamedActor } from './client-bodies.ts';

/** Why a key is rotated, and who says so. */
export interface RotateKeyBody {
  reason: string;
  actor?: NamedActor;
}

/** The keys of the ledger, oldest first; `since` when the one in use was made, null where nobody can tell any more. */
export interface LedgerKeysReply {
  origin: string;
  vkey: string;
  since: string | null;
  /** Whether it is older than the site's configuration lets it get. */
  due: boolean;
  keys: LogKey[];
  /** The key that sensitive values lie under: which one, since when, and whether older values still wait to be put under it. */
  envelope: { epoch: number; since: string | null; at_hand: boolean; rewrapping_since: string | null };
}

/** What came of a rotation: from the checkpoint of `size` entries on the new key signs. */
export interface RotatedLedgerKey {
  name: 'ledger';
  old: string;
  new: string;
  size: number;
  record_id: number;
  /** Whether the old key is gone and the files under `trust/` are written; the daemon goes on trying. */
  destroyed: boolean;
  /** Signed by both. */
  checkpoint: string;
  proof: string;
}
