import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry } from '../formats/entry.ts';
import type { Ledger } from '../ledger/ledger.ts';

/**
 * A ledger's first entry says for good which site it is of, and with which profile; settings that say otherwise would take
 * off what protects it. Closes the ledger and throws BoundaryError `config.other_profile` or `config.other_site`. A first
 * entry that was archived and carried off says nothing.
 */
export function assertStamp(
  ledger: Pick<Ledger, 'entry' | 'close'>,
  { site, profile }: { site: string; profile: string },
): void {
  const stamp = firstEntry(ledger);
  if (stamp === null || (stamp.site === site && stamp.profile === profile)) return;
  ledger.close();
  if (stamp.site !== site)
    throw new BoundaryError(
      'config.other_site',
      `holdfast.json says that this is ${site}, and its ledger that it is ${stamp.site}. Nothing was started. Put /site back.`,
      { at: '/site' },
    );
  throw new BoundaryError(
    'config.other_profile',
    `holdfast.json says profile ${profile}, and the first entry of its ledger says ${stamp.profile}: a site never changes its profile. Nothing was started. Put /profile back, or make another site.`,
    { at: '/profile' },
  );
}

function firstEntry(ledger: Pick<Ledger, 'entry'>): { site: string; profile: string } | null {
  try {
    const bytes = ledger.entry(0);
    if (bytes === null) return null;
    const { site, data } = decodeEntry(bytes);
    return typeof data.profile === 'string' ? { site, profile: data.profile } : null;
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
