import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type EngineHandle, type EngineMethod, textOf } from '../engine/protocol.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { Entry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { type InForce, inForceOf, RECEIPT_MAX_BYTES, type Receipt, signReceipt } from '../formats/receipt.ts';
import type { NoteSigner } from '../formats/signed-note.ts';
import { parseProof } from '../formats/tlog-proof.ts';
import { makeDir, readBounded, writeDurable } from '../host/durable-file.ts';
import type { SitePaths } from '../host/site.ts';

export interface ReceiptOptions {
  paths: SitePaths;
  site: string;
  profile: string;
  engine: EngineHandle;
  /** The ledger's key; asked for when something is to be signed. */
  signer: () => NoteSigner;
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
 * Receipts of imports. They are made from the ledger's entries alone, after these were committed, so that a crash between
 * entry and receipt loses nothing: the next start, or the next import, makes the one that is missing.
 */
export class ReceiptBook {
  readonly #options: ReceiptOptions;
  /** Receipts that reached the outbox: one per applied update, and that of the last refusal. */
  readonly #kept: string;

  constructor(options: ReceiptOptions) {
    this.#options = options;
    this.#kept = join(options.paths.policy, 'receipts');
    makeDir(this.#kept, 0o700);
  }

  /** The receipt of the newest import on record, made now if it was not yet; null when there was none. */
  async newest(): Promise<IssuedReceipt | null> {
    const found = (await this.#history()).findLast(isImport);
    return found === undefined ? null : this.#issue(found);
  }

  /** The receipt of the update in force, the same text every time it is asked for. */
  async inForce(): Promise<IssuedReceipt | null> {
    const found = (await this.#history()).findLast(({ entry }) => entry.type === 'policy.applied');
    return found === undefined ? null : this.#issue(found);
  }

  async #issue(recorded: Recorded): Promise<IssuedReceipt> {
    const { paths, site, signer } = this.#options;
    const { index, entry } = recorded;
    const name = receiptName(site, index);
    const kept = join(this.#kept, keptName(recorded));
    if (existsSync(kept))
      return { name, text: Buffer.from(readBounded(kept, RECEIPT_MAX_BYTES)).toString('utf8') };
    const text = signReceipt(await this.#receiptOf(recorded), signer());
    // The outbox first: what is kept here has reached it, and is not put there again once headquarters took it away.
    writeDurable(join(paths.outbox, name), Buffer.from(text), 0o640);
    if (entry.type === 'policy.refused') this.#forgetRefusals();
    writeDurable(kept, Buffer.from(text), 0o600);
    return { name, text };
  }

  async #receiptOf({ index, entry }: Recorded): Promise<Receipt> {
    const { site, profile } = this.#options;
    const { data } = entry;
    const applied = entry.type === 'policy.applied';
    const proof = await this.#ask('ledger.proof', { index: String(index) });
    return {
      v: 1,
      site,
      profile,
      result: applied ? 'applied' : 'refused',
      code: applied ? null : textOrNull(data.code),
      reason: applied ? null : textOrNull(data.reason),
      source: textOrNull(data.source),
      who: textOrNull(data.who),
      record_id: index,
      at: entry.at,
      time_trust: entry.time_trust,
      in_force: applied ? inForceOf(entry) : await this.#staysInForce(),
      flips: applied ? ((data.flips ?? null) as JsonObject | null) : null,
      checkpoint: parseProof(proof).checkpoint,
      proof,
    };
  }

  async #staysInForce(): Promise<InForce | null> {
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

  async #ask(method: EngineMethod, args: Record<string, string>): Promise<string> {
    const peer = { socket: 'internal', uid: null } as const;
    const answer = await this.#options.engine.call({ method, args, body: null, key: null, peer });
    if (answer.status !== 200) throw new Error(`receipts: ${method} answered ${answer.status}`);
    return textOf(answer);
  }

  #forgetRefusals(): void {
    for (const name of readdirSync(this.#kept))
      if (name.startsWith('refused-')) rmSync(join(this.#kept, name), { force: true });
  }
}

/** Safe on every file system, and different for different sites on one stick. */
export function receiptName(site: string, index: number): string {
  const flat = site.includes('/') ? `${site.replaceAll('/', '_')}-${sha256Hex(site).slice(0, 8)}` : site;
  return `receipt-${flat}-${index}.json`;
}

function keptName({ index, entry }: Recorded): string {
  return entry.type === 'policy.applied' ? `applied-${index}.json` : `refused-${index}.json`;
}

function isImport({ entry }: Recorded): boolean {
  return entry.type === 'policy.applied' || entry.type === 'policy.refused';
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
