import type { EntryType } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Batch } from '../context.ts';
import type { SiteTarget } from '../policies.ts';
import { learnWith } from '../time-history.ts';

/** Entries about an update whose signatures were verified and whose bundles were admitted. */
const VERIFIED: readonly EntryType[] = ['policy.applied', 'policy.held'];

/**
 * The data of an entry about an update, with what its signed issue times say about the clock (`data.outside_time`), where
 * they say anything new: it is at least that late. Headquarters signs when it made the site's file, so a site without any
 * other word from outside learns the time from its policy.
 */
export function withSignedTime(batch: Batch, type: EntryType, data: JsonObject): JsonObject {
  const { outside_time: _, ...plain } = data;
  if (!VERIFIED.includes(type)) return plain;
  // Not a bundle's own date: a person writes that, perhaps in the time of the day where they are.
  const at = Date.parse((plain.site_target as unknown as SiteTarget).issued_at);
  const { floor, doubt } = batch.state.time.latest();
  if (at <= floor && doubt !== 'jumped') return plain;
  return { ...plain, outside_time: learnWith(batch, { source: 'policy', at, window: null }) };
}
