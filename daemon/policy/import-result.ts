import type { JsonObject } from '../formats/json.ts';
import type { SiteTarget } from '../formats/site-target.ts';

/** The receipt of an import: where it was left, and itself. */
export type LeftReceipt = {
  /** In the outbox; null when headquarters has it already. */
  file: string | null;
  /** On the medium; null when that could not be written to, or is part of the site. */
  medium: string | null;
  /** DSSE envelope, as in both files. */
  envelope: string;
};

/** What an update waits for that was found good and is not in force yet. */
export type Waiting = {
  /** What "policy release" calls it. */
  id: string;
  /** Signatures that are missing, in words; empty when only its time is awaited. */
  missing: string[];
  wait_until: string | null;
  effective_at: string | null;
  expires_at: string | null;
};

/**
 * What became of it. `applied: false` means that nothing changed: it waits (`held`), or was refused; either is an entry,
 * where one could be written.
 */
export type ImportResult =
  | {
      applied: true;
      /** True when what it says was in force already. */
      unchanged: boolean;
      /** True when it is signed anew, and the site believes nothing older from now on. */
      renewed?: boolean;
      update_id: string;
      serial: number;
      environments: Record<string, { name: string; version: number; digest: string }>;
      /** Log index of `policy.applied`; null when nothing was recorded. */
      record_id: number | null;
      /** Null when it could not be written yet, absent when nothing was to be. */
      receipt?: LeftReceipt | null;
    }
  | {
      applied: false;
      held: true;
      code: 'policy.held' | 'policy.scheduled';
      reason: string;
      /** True when this very update waited already. */
      unchanged: boolean;
      update_id: string;
      serial: number;
      environments: Record<string, { name: string; version: number; digest: string }>;
      record_id: number | null;
      hold: Waiting;
      receipt?: LeftReceipt | null;
    }
  | {
      applied: false;
      held?: never;
      code: string;
      reason: string;
      record_id: number | null;
      receipt?: LeftReceipt | null;
    };

/** The result where the engine accepted an update: it is in force now, or waits. */
export function acceptedResult(body: JsonObject, update_id: string, siteTarget: SiteTarget): ImportResult {
  const common = {
    unchanged: body.unchanged === true,
    update_id,
    serial: siteTarget.serial,
    environments: Object.fromEntries(
      Object.entries(siteTarget.environments).map(([environment, { name, version, digest }]) => [
        environment,
        { name, version, digest },
      ]),
    ),
    record_id: recordOf(body),
  };
  if (body.held !== true)
    return { applied: true, ...common, ...(body.renewed === true ? { renewed: true } : {}) };
  const { id, missing, wait_until, effective_at, expires_at } = body.hold as unknown as Waiting;
  const hold = { id, missing, wait_until, effective_at, expires_at };
  const code = missing.length > 0 ? 'policy.held' : 'policy.scheduled';
  return { applied: false, held: true, code, reason: waitWords(hold), ...common, hold };
}

/** What an accepted update waits for, in a sentence or two. */
function waitWords({ missing, wait_until, effective_at }: Waiting): string {
  const until = wait_until === null ? '' : `, until ${wait_until}`;
  return [
    missing.length === 0 ? '' : `It waits for ${missing.join(' and ')}${until}.`,
    effective_at === null ? '' : `It takes effect at ${effective_at}, not before.`,
    'The policy in force stays as it was until then.',
  ]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

/** Log index in an answer of the engine; null where nothing was recorded. */
export function recordOf(body: JsonObject): number | null {
  return typeof body.record_id === 'number' ? body.record_id : null;
}
