import { decodeEntry } from '../formats/entry.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { EnvelopeKeeper } from './envelope-keeper.ts';
import { KEY_STREAM } from './key-stream.ts';

/** What is known of the key that sensitive values lie under; never the key. */
export interface EnvelopeKeyReport {
  epoch: number;
  /** When it came into use (RFC 3339); null where nobody can tell any more. */
  since: string | null;
  /** Whether its file is there. */
  at_hand: boolean;
  /** Since when older values are being put under it; null when none are left. */
  rewrapping_since: string | null;
}

/** The envelope key in use, by the ledger's own entries: the first one is as old as the site. */
export function envelopeKeyReport(
  ledger: Pick<Ledger, 'stream' | 'entry'>,
  { rotation, keyAtHand }: Pick<EnvelopeKeeper, 'rotation' | 'keyAtHand'>,
): EnvelopeKeyReport {
  const made =
    rotation.epoch === 0
      ? ledger.entry(0)
      : (ledger.stream(KEY_STREAM).findLast(({ bytes }) => isBegun(bytes, rotation.epoch))?.bytes ?? null);
  return {
    epoch: rotation.epoch,
    since: made === null ? null : decodeEntry(made).at,
    at_hand: keyAtHand,
    rewrapping_since: rotation.since,
  };
}

function isBegun(bytes: Uint8Array, epoch: number): boolean {
  const { type, data } = decodeEntry(bytes);
  return type === 'key.rotated' && data.name === 'envelope' && data.step === 'begun' && data.to === epoch;
}
