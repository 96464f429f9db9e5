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

/** Everything that anybody was told of is there, at the same index, byte for byte. */
export function expectKept(truth: Truth, told: readonly Acknowledged[]): void {
  const lost = told.filter(({ stream, index, hash }) => {
    const entry = truth.entries[index];
    return entry === undefined || entry.stream !== stream || entryHash(encodeEntry(entry)) !== hash;
  });
  expect(lost).toEqual([]);
}

/** Whoever was told got a proof with it that holds without the site. */
export function expectProven(world: World, told: readonly Acknowledged[]): void {
  const trust = world.trust();
  expect(told.filter(({ proof, index }) => verifyProof(proof, trust).index !== index)).toEqual([]);
}

/** No permit was redeemed twice, and no decision executed twice, by the entries. */
export function expectOnce(truth: Truth): void {
  const used = truth.entries
    .filter(({ type }) => type === 'permit.redeemed' || type === 'permit.outcome')
    .map(({ type, stream }) => `${type} of ${stream}`);
  const twice = [...Map.groupBy(used, (use) => use).values()].filter((uses) => uses.length > 1);
  expect(twice).toEqual([]);
}

/** No mark was left twice: no tool ran twice. */
export function expectMarksOnce(world: World): void {
  const ran = world.marks().filter((line) => line.startsWith('ran '));
  expect(ran.length).toBe(new Set(ran).size);
}
