import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type EngineHandle, type EngineMethod, textOf } from '../engine/protocol.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { Entry, EntryType } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { type InForce, inForceOf, RECEIPT_MAX_BYTES, type Receipt, signReceipt } from '../formats/receipt.ts';
import type { NoteSigner } from '../formats/signed-note.ts';
import { parseProof } from '../formats/tlog-proof.ts';
import { makeDir, readBounded, writeDurable } from '../host/durable-file.ts';
import type { SitePaths } from '../host/site.ts';
import { pruneReceipts, type ReceiptLimits } from './receipt-limits.ts';

export interface ReceiptOptions {
  paths: SitePaths;
  site: string;
  profile: string;
  engine: EngineHandle;
  /** The ledger's key; asked for when something is to be signed. */
  signer: () => NoteSigner;
  /** How much of the outbox receipts may take. */
  limits?: ReceiptLimits;
}

/** A receipt as it lies in the outbox. */
export interface IssuedReceipt {
  /** File name, the same wherever the receipt is carried. */
  name: string;
  /** DSSE envelope. */
  text: string;
}

interface Recorded {
  index: number;
  entry: Entry;
}

/**
 * Receipts of what became of updates. They are made from the ledger's entries alone, after these were committed, so that a
 * crash between entry and receipt loses nothing: the next start, or the next import, makes what is missing.
 */
export class ReceiptBook {
  readonly #options: ReceiptOptions;
  /** Receipts that reached the outbox: one per applied update, and the last of any other outcome. */
  readonly #kept: string;
  #last: Promise<unknown> = Promise.resolve();
  /** How many the outbox had no room for, in this run. */
  dropped = 0;

  constructor(options: ReceiptOptions) {
    this.#options = options;
    this.#kept = join(options.paths.policy, 'receipts');
    makeDir(this.#kept, 0o700);
  }

  /** Makes every receipt that is due. Returns that of the newest outcome on record; null when there was none. */
  newest(): Promise<IssuedReceipt | null> {
    return this.of(null);
  }

  /** The receipt of the outcome with this log index, the newest one's when it is null; makes all that are due. */
  of(index: number | null): Promise<IssuedReceipt | null> {
    return this.#inTurn(async () => {
      const outcomes = (await this.#history()).filter(isOutcome);
      const wanted = index === null ? outcomes.at(-1) : outcomes.find((outcome) => outcome.index === index);
      const last = this.#lastIssued();
      let issued: IssuedReceipt | null = null;
      for (const outcome of outcomes) {
        const due = last === null ? outcome === outcomes.at(-1) : outcome.index > last;
        if (!due && outcome !== wanted) continue;
        const receipt = await this.#issue(outcome, outcomes);
        if (outcome === wanted) issued = receipt;
      }
      return issued;
    });
  }

  /** The receipt of the update in force, the same text every time it is asked for. */
  inForce(): Promise<IssuedReceipt | null> {
    return this.#inTurn(async () => {
      const outcomes = (await this.#history()).filter(isOutcome);
      const found = outcomes.findLast(({ entry }) => entry.type === 'policy.applied');
      return found === undefined ? this.#newestApplied() : this.#issue(found, outcomes);
    });
  }

  /** One at a time: two that are made of one entry at once would differ in their checkpoints. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #issue(recorded: Recorded, outcomes: readonly Recorded[]): Promise<IssuedReceipt> {
    const { paths, site, signer } = this.#options;
    const { index } = recorded;
    const name = receiptName(site, index);
    const kept = join(this.#kept, keptName(recorded));
    if (existsSync(kept))
      return { name, text: Buffer.from(readBounded(kept, RECEIPT_MAX_BYTES)).toString('utf8') };
    const text = signReceipt(await this.#receiptOf(recorded, outcomes), signer());
    // The outbox first: what is kept here has reached it, and is not put there again once headquarters took it away.
    writeDurable(join(paths.outbox, name), Buffer.from(text), 0o640);
    this.dropped += pruneReceipts(paths.outbox, this.#options.limits).length;
    writeDurable(kept, Buffer.from(text), 0o600);
    if (!isApplied(recorded)) this.#forgetOthers(keptName(recorded));
    return { name, text };
  }

  /** Where so much was refused since that the history no longer reaches it. */
  #newestApplied(): IssuedReceipt | null {
    const applied = readdirSync(this.#kept).flatMap((name) => /^applied-(\d+)\.json$/.exec(name)?.[1] ?? []);
    if (applied.length === 0) return null;
    const index = Math.max(...applied.map(Number));
    const bytes = readBounded(join(this.#kept, `applied-${index}.json`), RECEIPT_MAX_BYTES);
    return { name: receiptName(this.#options.site, index), text: Buffer.from(bytes).toString('utf8') };
  }

  async #receiptOf({ index, entry }: Recorded, outcomes: readonly Recorded[]): Promise<Receipt> {
    const { site, profile } = this.#options;
    const { data } = entry;
    const inForce = outcomes.findLast((outcome) => isApplied(outcome) && outcome.index <= index);
    const proof = await this.#ask('ledger.proof', { index: String(index) });
    return {
      v: 1,
      site,
      profile,
      result: resultOf(entry),
      code: textOrNull(data.code),
      reason: textOrNull(data.reason),
      source: textOrNull(data.source),
      who: textOrNull(data.who),
      record_id: index,
      at: entry.at,
      time_trust: entry.time_trust,
      in_force: inForce === undefined ? await this.#nowInForce() : inForceOf(inForce.entry),
      flips: (data.flips ?? null) as JsonObject | null,
      checkpoint: parseProof(proof).checkpoint,
      proof,
    };
  }

  /** Where the entry that put it in force is too far back in the history. */
  async #nowInForce(): Promise<InForce | null> {
    const policy = JSON.parse(await this.#ask('policy.get', {})) as {
      update_id: string | null;
      serial: number;
      repository: InForce['repository'];
      environments: ({ environment: string } & InForce['environments'][string])[];
    };
    const { update_id, serial, repository, environments } = policy;
    if (update_id === null) return null;
    const pinned = environments.map(
      ({ environment, name, version, digest }) => [environment, { name, version, digest }] as const,
    );
    return { update_id, serial, repository, environments: Object.fromEntries(pinned) };
  }

  async #history(): Promise<Recorded[]> {
    return (JSON.parse(await this.#ask('policy.history', {})) as { entries: Recorded[] }).entries;
  }

  /** Log index of the newest receipt that was made; null when none was yet. */
  #lastIssued(): number | null {
    const indexes = readdirSync(this.#kept).flatMap((name) => /^[a-z]+-(\d+)\.json$/.exec(name)?.[1] ?? []);
    return indexes.length === 0 ? null : Math.max(...indexes.map(Number));
  }

  async #ask(method: EngineMethod, args: Record<string, string>): Promise<string> {
    const peer = { socket: 'internal', uid: null } as const;
    const answer = await this.#options.engine.call({ method, args, body: null, key: null, peer });
    if (answer.status !== 200) throw new Error(`receipts: ${method} answered ${answer.status}`);
    return textOf(answer);
  }

  /** Of those that put nothing in force only the last is kept. */
  #forgetOthers(last: string): void {
    for (const name of readdirSync(this.#kept))
      if (!name.startsWith('applied-') && name !== last) rmSync(join(this.#kept, name), { force: true });
  }
}

/** What carries the file puts a digest before its name, which must stay a name that any file system takes. */
const LONGEST_PLAIN = 120;

/** Safe on every file system, and different for different sites on one stick. */
export function receiptName(site: string, index: number): string {
  return `receipt-${siteInName(site)}-${index}.json`;
}

/** A site's name as part of a file name: no two sites have the same. */
export function siteInName(site: string): string {
  if (!site.includes('/') && site.length <= LONGEST_PLAIN) return site;
  const short = site.replaceAll('/', '_').slice(0, LONGEST_PLAIN);
  return `${short}-${sha256Hex(site).slice(0, 8)}`;
}

function keptName({ index, entry }: Recorded): string {
  return `${resultOf(entry)}-${index}.json`;
}

const RESULTS: Readonly<Partial<Record<EntryType, Receipt['result']>>> = {
  'policy.applied': 'applied',
  'policy.refused': 'refused',
  'policy.held': 'held',
  'policy.rejected': 'rejected',
  'policy.lapsed': 'lapsed',
};

/** Whether an entry says what became of an update, so that headquarters gets a receipt. */
export function hasReceipt(type: string): boolean {
  return Object.hasOwn(RESULTS, type);
}

function isOutcome({ entry }: Recorded): boolean {
  return hasReceipt(entry.type);
}

function isApplied({ entry }: Recorded): boolean {
  return entry.type === 'policy.applied';
}

function resultOf({ type }: Entry): Receipt['result'] {
  const result = RESULTS[type];
  if (result === undefined) throw new Error(`receipts: ${type} is no outcome of an import`);
  return result;
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
