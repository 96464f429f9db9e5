import { expect } from 'vitest';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { encodeEntry, entryHash } from '../../daemon/formats/entry.ts';
import { verifyProof } from '../../daemon/formats/tlog-proof.ts';
import type { SitePaths } from '../../daemon/host/site.ts';
import { type VerifyReport, verifyLedger } from '../../daemon/ledger/verify.ts';
import { checkLedger, type Truth } from '../oracle.ts';
import type { World } from '../world.ts';
import type { Acknowledged } from './load.ts';

/** The product's own verification of a site's files, copied or in place. */
export function verify(world: World, paths: SitePaths = world.paths): Promise<VerifyReport> {
  return verifyLedger({
    ledgerPath: paths.ledger,
    headPath: paths.head,
    trust: world.trust(),
    inPlace: paths === world.paths,
    projectionChecks: checkProjections,
  });
}

/** Both the oracle and the product find nothing wrong with a site's ledger. Returns what is in it. */
export async function expectIntact(world: World): Promise<Truth> {
  const truth = checkLedger(world.paths, world.trust());
  const report = await verify(world);
  expect(report.findings).toEqual([]);
  expect(report.code).toBe(0);
  return truth;
}

/** Everything that anybody was told of is there, at the same index, byte for byte, and was proven when it was told. */
export function expectKept(
  truth: Truth,
  told: readonly Acknowledged[],
  trust: Parameters<typeof verifyProof>[1],
): void {
  for (const { what, stream, index, hash, proof } of told) {
    const entry = truth.entries[index];
    const kept = entry === undefined ? 'missing' : `${entry.stream} ${entryHash(encodeEntry(entry))}`;
    expect(`${what} ${index}: ${kept}`).toBe(`${what} ${index}: ${stream} ${hash}`);
    expect(verifyProof(proof, trust).index).toBe(index);
  }
}

/** How often each permit was redeemed, and each decision executed, by the entries. */
export function expectOnce(truth: Truth): void {
  const seen = new Set<string>();
  for (const { type, stream } of truth.entries) {
    if (type !== 'permit.redeemed' && type !== 'permit.outcome') continue;
    const once = `${type} of ${stream}`;
    expect(seen.has(once) ? `${once} twice` : once).toBe(once);
    seen.add(once);
  }
}

/** No mark was left twice: no tool ran twice. */
export function expectMarksOnce(world: World): void {
  const ran = world.marks().filter((line) => line.startsWith('ran '));
  expect(ran.length).toBe(new Set(ran).size);
}
