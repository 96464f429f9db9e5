import {
  type HoldDemand,
  type HoldRosters,
  type HoldVote,
  missingVotes,
  missingWords,
  siteTargetDigest,
} from '../core/hold.ts';
import { PRODUCTION } from '../core/minimum.ts';
import { type Roster, rosterAt } from '../core/roster.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import { bundlesNamed } from '../formats/site-target.ts';
import type { AppliedPolicy, Policies, SiteTarget } from './policies.ts';
import type { Reading } from './time.ts';

/** What an update waits for. */
export interface HoldTerms {
  /** What people call it and sign about: the id of the update that was held first. */
  id: string;
  demands: HoldDemand[];
  /** When people have had their time; null: as long as its metadata is valid. RFC 3339 like every instant here. */
  wait_until: string | null;
  effective_at: string | null;
  /** When the first of its metadata expires: after that it is never activated. */
  expires_at: string | null;
}

/** `data` of a `policy.held` entry. */
export interface HeldData extends Omit<AppliedPolicy, 'hold'> {
  hold: HoldTerms;
  code: 'policy.held' | 'policy.scheduled';
  reason: string;
  /** What was in force when it was held. */
  previous: AppliedPolicy['environments'] | null;
}

/** The update that waits, as its entries say. */
export interface HeldUpdate {
  /** Log index of the newest `policy.held` about it. */
  index: number;
  since: string;
  data: HeldData;
  votes: (HoldVote & { index: number; at: string })[];
  /** Signed acts about it that were recorded and did not count. */
  refused: number;
}

/** The newest repository that was found good here, activated or not: nothing older is accepted any more. */
export interface HighWater {
  update_id: string;
  serial: number;
  /** Digest of the site's target. */
  target: string;
}

/** A look at the clock: `Batch` and `Reading` are such. */
export type Instant = Pick<Reading, 'now' | 'trust'>;

/** What the waiting update needs next: to be put in force, or to be given up, and why. */
export type HoldStep = 'apply' | 'expired' | 'not_released' | null;

/** Steps of preparation that one tick takes: a few milliseconds. */
const STEPS_PER_TICK = 20;

/**
 * The update that waits at this site, at most one: derived from the stream `policy`, and followed entry by entry. What it
 * will run under is made ready a little every second, so that nobody waits for it when its moment comes.
 */
export class Holds {
  held: HeldUpdate | null = null;
  high_water: HighWater | null = null;
  /** The update that people of the site rejected, if it is the newest that was offered. */
  rejected: { target: string; by: string; at: string } | null = null;
  #coming: readonly Roster[] | null = null;
  #ready = false;

  constructor(stream: readonly { index: number; bytes: Uint8Array }[]) {
    for (const { index, bytes } of stream) this.follow(index, decodeEntry(bytes));
  }

  /** Takes in one more entry of the stream `policy`. */
  follow(index: number, entry: Entry): void {
    switch (entry.type) {
      case 'policy.held':
        this.#begin(index, entry);
        break;
      case 'policy.approved':
        this.held?.votes.push({ ...(entry.data as unknown as HoldVote), index, at: entry.at });
        break;
      case 'approval.rejected':
        if (this.held !== null) this.held.refused++;
        break;
      case 'policy.rejected':
        this.rejected =
          this.high_water === null
            ? null
            : { target: this.high_water.target, by: entry.actor.id ?? 'nobody', at: entry.at };
        this.#end();
        break;
      case 'policy.lapsed':
        this.#end();
        break;
      case 'policy.applied':
        this.#rise(entry.data as unknown as AppliedPolicy);
        this.#end();
        break;
      default:
        break;
    }
  }

  #begin(index: number, { at, data }: Entry): void {
    const held = data as unknown as HeldData;
    this.#rise(held);
    this.#coming = null;
    this.#ready = false;
    this.held =
      this.held?.data.hold.id === held.hold.id
        ? { ...this.held, index, data: held }
        : { index, since: at, data: held, votes: [], refused: 0 };
  }

  #end(): void {
    this.held = null;
    this.#coming = null;
    this.#ready = false;
  }

  #rise({ update_id, site_target }: { update_id: string; site_target: SiteTarget }): void {
    const target = siteTargetDigest(site_target);
    if (this.rejected?.target !== target) this.rejected = null;
    this.high_water = { update_id, serial: site_target.serial, target };
  }

  /** The rosters by which votes on the waiting update are judged, as they are now. */
  rosters(policies: Policies, time: Instant): HoldRosters {
    this.#coming ??= this.held === null ? [] : rostersOf(this.held.data, policies);
    const forSite = policies.active(PRODUCTION) ?? policies.anyActive();
    const now = (roster: Roster) => rosterAt(roster, time);
    return {
      inForce: (environment) => {
        const policy = policies.active(environment) ?? forSite;
        return policy === null ? null : now(policy.roster);
      },
      coming: this.#coming.map(now),
    };
  }

  /** What is still missing in signatures, in words; empty when the update is released, or none waits. */
  missing(policies: Policies, time: Instant): string[] {
    const { held } = this;
    if (held === null) return [];
    return missingWords(missingVotes(held.data.hold.demands, held.votes, this.rosters(policies, time)));
  }

  /** What the waiting update needs at this instant; nothing while nobody believes the clock. */
  step(time: Instant, policies: Policies): HoldStep {
    const { now, trust } = time;
    if (this.held === null || trust === 'uncertain') return null;
    const { expires_at, wait_until, effective_at } = this.held.data.hold;
    const isPast = (instant: string | null) => instant !== null && Date.parse(instant) <= now;
    if (isPast(expires_at)) return 'expired';
    const released = this.missing(policies, time).length === 0;
    if (!released) return isPast(wait_until) ? 'not_released' : null;
    return effective_at === null || isPast(effective_at) ? 'apply' : null;
  }

  /** For the tick: whether something about it is to be recorded now. Goes on with making its bundles ready. */
  due(time: Reading, policies: Policies): boolean {
    if (this.held === null) return false;
    this.#prepare(this.held.data, policies);
    const step = this.step(time, policies);
    return step === 'apply' ? this.#ready : step !== null;
  }

  #prepare({ site_target }: HeldData, policies: Policies): void {
    if (this.#ready) return;
    try {
      const digests = [...new Set(bundlesNamed(site_target).map(([, { digest }]) => digest))];
      let steps = STEPS_PER_TICK;
      this.#ready = digests.every((digest) => {
        // One that is ready costs no step: the last of many has its turn as well.
        while (policies.prepare(digest) !== 'ready') {
          steps -= 1;
          if (steps <= 0) return false;
        }
        return true;
      });
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      // Missing or changed on disk: whoever is to activate it says so.
      this.#ready = true;
    }
  }
}

/** Empty where a bundle cannot be read: then the update cannot be activated either. */
function rostersOf({ environments }: HeldData, policies: Policies): readonly Roster[] {
  try {
    const digests = new Set(Object.values(environments).map(({ digest }) => digest));
    return [...digests].map((digest) => policies.load(digest).roster);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return [];
  }
}
