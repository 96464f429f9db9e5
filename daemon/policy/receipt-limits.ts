import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseEnvelope } from '../formats/dsse.ts';
import { RECEIPT_MAX_BYTES } from '../formats/receipt.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { readBounded, syncDir } from '../host/durable-file.ts';

/** How much of the outbox receipts may take: a medium that is offered over and over must not fill the disk. */
export interface ReceiptLimits {
  /** Receipts of every kind. */
  files: number;
  bytes: number;
  /** Those of updates that did not come into force. */
  others: number;
}

const RECEIPT_LIMITS: ReceiptLimits = { files: 256, bytes: 16_777_216, others: 32 };

interface Waiting {
  name: string;
  index: number;
  bytes: number;
  applied: boolean;
}

/**
 * Drops the oldest receipts that headquarters has not acknowledged until those left are within the limits, durably: first
 * of updates that did not come into force, then of applied ones. The newest receipt and the newest of an applied update
 * always stay. Nothing is lost but the copy: the ledger holds the entry of every import. Returns the names dropped.
 */
export function pruneReceipts(outbox: string, limits: ReceiptLimits = RECEIPT_LIMITS): string[] {
  const waiting = receiptsIn(outbox);
  const pinned = new Set([waiting.at(-1)?.name, waiting.findLast(({ applied }) => applied)?.name]);
  const others = waiting.filter(({ applied }) => !applied);
  const oldestFirst = [...others, ...waiting.filter(({ applied }) => applied)];
  let files = waiting.length;
  let bytes = waiting.reduce((sum, receipt) => sum + receipt.bytes, 0);
  let unapplied = others.length;
  const dropped: string[] = [];
  for (const receipt of oldestFirst) {
    const tooMany = files > limits.files || bytes > limits.bytes;
    if (!tooMany && (receipt.applied || unapplied <= limits.others)) continue;
    if (pinned.has(receipt.name)) continue;
    unlinkSync(join(outbox, receipt.name));
    dropped.push(receipt.name);
    files -= 1;
    bytes -= receipt.bytes;
    if (!receipt.applied) unapplied -= 1;
  }
  if (dropped.length > 0) syncDir(outbox);
  return dropped;
}

/** Receipts at the top of the outbox, oldest entry first. */
function receiptsIn(outbox: string): Waiting[] {
  return readdirSync(outbox)
    .flatMap((name): Waiting[] => {
      const index = /^receipt-.+-(\d{1,15})\.json$/.exec(name)?.[1];
      const path = join(outbox, name);
      const stat = index === undefined ? undefined : lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isFile() !== true) return [];
      return [{ name, index: Number(index), bytes: stat.size, applied: isApplied(path) }];
    })
    .sort((a, b) => a.index - b.index);
}

/** By its own word: these files are ours. What cannot be read is taken for one of the lesser kind. */
function isApplied(path: string): boolean {
  try {
    const { payload } = parseEnvelope(Buffer.from(readBounded(path, RECEIPT_MAX_BYTES)).toString('utf8'));
    const limits = { maxBytes: RECEIPT_MAX_BYTES, maxDepth: 8 };
    const receipt = parseStrict(Buffer.from(payload).toString('utf8'), limits);
    return (
      receipt !== null && typeof receipt === 'object' && 'result' in receipt && receipt.result === 'applied'
    );
  } catch (error) {
    if (error instanceof BoundaryError) return false;
    throw error;
  }
}
