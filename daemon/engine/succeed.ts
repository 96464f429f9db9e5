import { isoTime } from '../core/create.ts';
import { decodeEntry, type Entry, type EntryActor, type EntryType, encodeEntry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SignedAct } from '../formats/signed-act.ts';
import type { SitePaths } from '../host/site.ts';
import { openHeadStore, saveHead } from '../ledger/head-store.ts';
import type { Ledger, NoteSigner } from '../ledger/ledger.ts';
import { createLedger } from '../ledger/open.ts';
import type { LedgerReader } from '../ledger/read.ts';
import { rebuildProjections } from './rebuild.ts';

/*
 * A log that goes on for another one (docs/decisions/0035). A ledger that is restored behind what may have been signed must
 * not be continued: the log would show two histories. So a new log begins, whose first entry names the head of the old one,
 * and takes over what narrows: the policy in force, suspended keys, open incidents, how far security keys have counted. What
 * widens ends with the old log: permits, pending decisions, break-glass, grants, held updates, and every signature that was
 * made for it.
 */

/** Stream of the first entry. */
const STREAM = 'backup';
/** Suspensions and incidents are bounded where they are made. */
const CARRIED_MAX = 20_000;
/** Security keys whose counters fit into the first entry with everything else; no site has as many people. */
const COUNTERS_MAX = 400;

/** What the first entry of the new log says, beside what this adds. */
export interface Succession {
  /** The old log as far as it was restored. */
  former: { origin: string; size: number; root: string };
  /** RFC 3339: when the backup was made; whether the site's keys are in it, without which old idempotency keys are not known again. */
  backup: { file: string; made_at: string; keys: boolean };
  /** Entries of the old log that existed and are lost; `until` null: nobody knows whether there were any. */
  missing: { from: number; until: number | null; known_from: string | null };
  /** Entries that the second copy added to the backup. */
  from_copy: number;
  reason: string | null;
}

/** Where and by whose key the new log begins. */
export interface SuccessorSite {
  paths: SitePaths;
  site: string;
  profile: string;
  rootDigest: string;
  version: string;
  signer: NoteSigner;
  actor: string | null;
  /** Unix ms; not before `floorMs`. */
  now: number;
  floorMs: number;
}

/** How much of each kind ended, or goes on. */
export interface CarriedOver {
  policy: boolean;
  suspended: number;
  incidents: number;
  /** Security keys whose counter must go on from where it was. */
  counters: number;
  ended: {
    decisions: number;
    permits: number;
    running: number;
    breakglass: number;
    grants: number;
    /** Updates that waited for people of the site. */
    held: number;
    /** Idempotency keys that were answered. */
    idempotency: number;
  };
}

/**
 * Makes the ledger and head store of a new log that goes on for `old`. Both files must not exist. Nothing is kept of it
 * unless this returns: the caller removes the files.
 */
export function initializeSuccessor(at: SuccessorSite, old: LedgerReader, what: Succession): CarriedOver {
  const { paths, signer } = at;
  const carried = entriesToCarry(old);
  const over = countOver(old, carried);
  const ledger = createLedger({ path: paths.ledger, headPath: paths.head, origin: signer.name, signer });
  try {
    const by: EntryActor = { id: at.actor, role: null };
    const first: JsonObject = {
      ...aboutSite(at),
      ...(what as unknown as JsonObject),
      carried: over as unknown as JsonObject,
      counters: countersOf(old) as unknown as JsonObject[],
    };
    ledger.begin();
    append(ledger, at, { stream: STREAM, type: 'backup.restored', actor: by, data: first });
    for (const { index, entry } of carried) {
      const data = { ...entry.data, carried: { origin: old.origin, index } };
      append(ledger, at, { ...entry, data });
    }
    ledger.seal();
    ledger.commit();
    const head = openHeadStore(paths.head);
    saveHead(head, ledger);
    head.raiseFloor(signer.name, at.floorMs);
    head.close();
  } finally {
    ledger.close();
  }
  rebuildProjections(paths.ledger);
  return over;
}

function aboutSite({ site, profile, signer, rootDigest, version }: SuccessorSite): JsonObject {
  return { site, profile, origin: signer.name, vkey: signer.vkey, root_digest: rootDigest, version };
}

function append(
  ledger: Ledger,
  { site, now, floorMs }: SuccessorSite,
  { stream, type, actor, data }: { stream: string; type: EntryType; actor: EntryActor; data: JsonObject },
): void {
  const { seq, prev } = ledger.streamHead(stream);
  const at = isoTime(Math.max(now, floorMs));
  ledger.append(
    stream,
    encodeEntry({ v: 1, site, type, at, time_trust: 'floor', stream, seq, prev, actor, data }),
  );
}

interface Carried {
  index: number;
  entry: Entry;
}

/** The policy in force, then what is suspended and halted: each as the entry that says so. */
function entriesToCarry(old: LedgerReader): Carried[] {
  const applied = old
    .stream('policy')
    .map(({ index, bytes }) => ({ index, entry: decodeEntry(bytes) }))
    .findLast(({ entry }) => entry.type === 'policy.applied');
  const suspended = standing(old, 'suspension', 'last_idx');
  const incidents = standing(old, 'incident', 'first_idx');
  return [...(applied === undefined ? [] : [applied]), ...suspended, ...incidents];
}

function standing(old: LedgerReader, kind: string, which: 'first_idx' | 'last_idx'): Carried[] {
  const rows = old.database
    .prepareColumn<number>(
      `SELECT ${which} FROM standing WHERE kind = ? AND state <> 'closed' ORDER BY ${which} LIMIT ?`,
    )
    .all(kind, CARRIED_MAX);
  return rows.flatMap((index) => {
    const bytes = old.entry(index);
    return bytes === null ? [] : [{ index, entry: decodeEntry(bytes) }];
  });
}

/** A security key that counts from the beginning again would let its copy sign. */
function countersOf({ database }: LedgerReader): { key: string; counter: number }[] {
  return database
    .prepare<{ key: string; counter: number }>(
      'SELECT key, counter FROM key_counters ORDER BY counter DESC, key LIMIT ?',
    )
    .all(COUNTERS_MAX);
}

function countOver(view: LedgerReader, carried: readonly Carried[]): CarriedOver {
  const { database } = view;
  const count = (sql: string): number =>
    database.prepareColumn<number>(`SELECT count(*) FROM ${sql}`).get() ?? 0;
  const of = (type: EntryType): number => carried.filter(({ entry }) => entry.type === type).length;
  const open = (kind: string): number => count(`standing WHERE kind = '${kind}' AND state <> 'closed'`);
  return {
    policy: of('policy.applied') > 0,
    suspended: of('key.suspended'),
    incidents: of('incident.opened'),
    counters: countersOf(view).length,
    ended: {
      decisions: count(`decisions WHERE status IN ('evaluated', 'pending_authority')`),
      permits: count(`decisions WHERE permit = 'issued'`),
      running: count(`decisions WHERE permit IN ('redeemed', 'unknown')`),
      breakglass: open('breakglass'),
      grants: open('grant'),
      held: open('hold'),
      idempotency: count('idempotency'),
    },
  };
}

/**
 * Whether a signed act was made for a log that this one goes on for: its nonce may have been spent in entries that are
 * lost. It was made for this log if it names a checkpoint of it; or names none, and was issued after it began.
 */
export function isOfFormerLog(
  { issued_at, seen_checkpoint }: SignedAct,
  ledger: Pick<Ledger, 'origin' | 'entry'>,
): boolean {
  if (seen_checkpoint?.startsWith(`${ledger.origin}\n`) === true) return false;
  const bytes = /\/ledger\/[0-9]+$/.test(ledger.origin) ? ledger.entry(0) : null;
  if (bytes === null) return false;
  // The clock of whoever signed it may be ahead: the log that was seen tells more than the time.
  return seen_checkpoint !== null || Date.parse(issued_at) < Date.parse(decodeEntry(bytes).at);
}
