import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { initializeLedger } from '../../daemon/engine/initialize.ts';
import { openInlineEngine } from '../../daemon/engine/inline.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { type Receipt, verifyReceipt } from '../../daemon/formats/receipt.ts';
import { systemClock } from '../../daemon/host/clock.ts';
import { formatConfig } from '../../daemon/host/config.ts';
import { makeDir } from '../../daemon/host/durable-file.ts';
import { createSealingKey } from '../../daemon/host/sealer.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { type ImportResult, importUpdate } from '../../daemon/policy/import.ts';
import { ReceiptBook } from '../../daemon/policy/receipts.ts';
import { PolicyStore } from '../../daemon/policy/store.ts';
import { temporaryDir } from '../host/temporary.ts';
import { PublisherWorld, SITE } from './publisher-world.ts';

/** A site with a real engine and ledger, that trusts a publisher. */
async function fixture() {
  const base = temporaryDir();
  const publisher = new PublisherWorld(base);
  publisher.publish(1, { now: Date.now() });
  const paths = sitePaths(join(base, 'site'));
  const { root, trust, inbox, outbox, state, keys, policy } = paths;
  for (const dir of [root, trust, inbox, outbox, state, keys, policy]) makeDir(dir, 0o700);
  writeFileSync(paths.config, formatConfig({ site: SITE, profile: 'node', operatorActor: null }));
  writeFileSync(join(trust, 'root.json'), publisher.root);
  const keyFile = join(keys, 'ledger.key');
  const { vkey } = createSigningKey(keyFile, `${SITE}/ledger`);
  createSealingKey(join(keys, 'sealing.key'));
  const signer = loadSigner(keyFile);
  initializeLedger(paths, {
    site: SITE,
    profile: 'node',
    signer,
    rootDigest: '0'.repeat(64),
    now: Date.now(),
  });
  const engine = await openInlineEngine(root);
  onTestFinished(() => engine.stop('test'));
  const store = new PolicyStore(policy);
  const book = () => new ReceiptBook({ paths, site: SITE, profile: 'node', engine, signer: () => signer });
  const run = (receipts: ReceiptBook | null = book()): Promise<ImportResult> =>
    importUpdate({
      path: publisher.dir,
      paths,
      site: SITE,
      engine,
      store,
      clock: systemClock,
      who: 'operator:ana',
      ...(receipts === null ? {} : { receipts }),
    });
  const known = { site: SITE, origin: `${SITE}/ledger`, vkeys: [vkey] };
  return { publisher, paths, run, book, known };
}

const envelopeOf = (result: ImportResult): string => result.receipt?.envelope ?? '';

describe('receipts', () => {
  it('say what was applied, in the outbox and on the medium, for whoever has the public key', async () => {
    const { publisher, paths, run, known } = await fixture();
    const result = await run();
    const { receipt, entry } = verifyReceipt(envelopeOf(result), known);
    expect(receipt).toMatchObject({
      site: SITE,
      profile: 'node',
      result: 'applied',
      code: null,
      who: 'operator:ana',
      record_id: result.record_id,
      in_force: { serial: 1, environments: { production: { name: 'base', version: 1 } } },
    });
    expect(entry.type).toBe('policy.applied');
    const name = `receipt-${SITE}-${result.record_id}.json`;
    for (const dir of [paths.outbox, publisher.path('receipts')])
      expect(readFileSync(join(dir, name), 'utf8')).toBe(envelopeOf(result));
  });

  it('say what was refused, why, and what stays in force', async () => {
    const { publisher, run, known } = await fixture();
    const first = await run();
    publisher.edit('metadata/timestamp.json', { version: 9 });
    const result = await run();
    const { receipt } = verifyReceipt(envelopeOf(result), known);
    expect(receipt).toMatchObject({ result: 'refused', code: 'update.bad_signature' });
    expect(receipt.in_force).toEqual(verifyReceipt(envelopeOf(first), known).receipt.in_force);
  });

  it('of a medium that is offered over and over do not fill the outbox, and the applied one stays', async () => {
    const { publisher, paths, run, known } = await fixture();
    const first = await run();
    publisher.edit('metadata/timestamp.json', { version: 9 });
    for (let n = 0; n < 40; n++) await run();
    const names = readdirSync(paths.outbox);
    expect(names).toHaveLength(33);
    expect(names).toContain(`receipt-${SITE}-${first.record_id}.json`);
    const newest = names.map((name) => Number(/-(\d+)\.json$/.exec(name)?.[1])).sort((a, b) => b - a)[0];
    const text = readFileSync(join(paths.outbox, `receipt-${SITE}-${newest}.json`), 'utf8');
    expect(verifyReceipt(text, known).receipt).toMatchObject({ result: 'refused' });
    for (const name of readdirSync(paths.outbox)) rmSync(join(paths.outbox, name));
  });

  it('name no file in the outbox once headquarters took it away', async () => {
    const { paths, run } = await fixture();
    const first = await run();
    expect(first.receipt?.file).toContain(paths.outbox);
    for (const name of readdirSync(paths.outbox)) rmSync(join(paths.outbox, name));
    expect((await run()).receipt).toMatchObject({ file: null, envelope: envelopeOf(first) });
  });

  it('are the same when an update comes again, and do not return to the outbox', async () => {
    const { paths, run } = await fixture();
    const first = await run();
    for (const name of readdirSync(paths.outbox)) rmSync(join(paths.outbox, name));
    const again = await run();
    expect(again).toMatchObject({ applied: true, unchanged: true });
    expect(envelopeOf(again)).toBe(envelopeOf(first));
    expect(readdirSync(paths.outbox)).toEqual([]);
  });

  it('are made up when a crash came before them', async () => {
    const { paths, run, book, known } = await fixture();
    const { record_id: index } = await run(null);
    expect(readdirSync(paths.outbox)).toEqual([]);
    const made = await book().newest();
    expect(verifyReceipt(made?.text ?? '', known).receipt.record_id).toBe(index);
    expect(readdirSync(paths.outbox)).toEqual([made?.name]);
  });

  it('never fail an import: no outbox', async () => {
    const { paths, run, known } = await fixture();
    rmSync(paths.outbox, { recursive: true });
    expect(await run()).toMatchObject({ applied: true, receipt: null });
    makeDir(paths.outbox, 0o700);
    expect(verifyReceipt(envelopeOf(await run()), known).receipt.result).toBe('applied');
    expect(readdirSync(paths.outbox)).toHaveLength(1);
  });

  const TRAPS: [string, (folder: string, name: string) => void][] = [
    [
      'a file of that name',
      (folder, name) => {
        mkdirSync(folder);
        writeFileSync(join(folder, name), 'mine');
      },
    ],
    [
      'a link of that name',
      (folder, name) => {
        mkdirSync(folder);
        symlinkSync('../../victim', join(folder, name));
      },
    ],
    ['a link to a directory', (folder) => symlinkSync('..', folder)],
    ['a file for the folder', (folder) => writeFileSync(folder, 'mine')],
  ];
  it.each(TRAPS)('replace nothing on the medium and follow nothing: %s', async (_what, lay) => {
    const { publisher, paths, run } = await fixture();
    const first = await run();
    const folder = publisher.path('receipts');
    rmSync(folder, { recursive: true });
    lay(folder, `receipt-${SITE}-${first.record_id}.json`);
    const before = readdirSync(publisher.path('..'));
    expect(await run()).toMatchObject({ applied: true, receipt: { medium: null } });
    expect(readdirSync(publisher.path('..'))).toEqual(before);
    expect(existsSync(join(paths.root, '../victim'))).toBe(false);
  });

  it('are written anew where a pulled stick cut one short', async () => {
    const { run } = await fixture();
    const file = (await run()).receipt?.medium ?? '';
    const whole = readFileSync(file);
    writeFileSync(file, whole.subarray(0, 100));
    await run();
    expect(readFileSync(file)).toEqual(whole);
  });

  it('are not genuine with any byte of the payload changed, nor by another key', async () => {
    const { run, known } = await fixture();
    const envelope = JSON.parse(envelopeOf(await run())) as { payload: string };
    const payload = Buffer.from(envelope.payload, 'base64');
    fc.assert(
      fc.property(fc.nat(payload.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(payload);
        changed[at] = (changed[at] ?? 0) ^ flip;
        const text = JSON.stringify({ ...envelope, payload: changed.toString('base64') });
        expect(() => verifyReceipt(text, known)).toThrow(BoundaryError);
      }),
      { numRuns: 100 },
    );
    const { vkey } = createSigningKey(join(temporaryDir(), 'other.key'), `${SITE}/ledger`);
    expect(() => verifyReceipt(JSON.stringify(envelope), { ...known, vkeys: [vkey] })).toThrow(/trust file/);
    expect(() => verifyReceipt(JSON.stringify(envelope), { ...known, site: 'other.example' })).toThrow(
      /another site/,
    );
  });
});

describe('a site that lies in its receipt', () => {
  const LIES: [keyof Receipt, unknown][] = [
    ['result', 'refused'],
    ['record_id', 0],
    ['at', '2020-01-01T00:00:00.000Z'],
    ['who', 'operator:bob'],
    ['in_force', null],
    ['flips', { decisions: 3 }],
    ['checkpoint', 'x'],
  ];
  it.each(LIES)('is caught by the entry: %s', async (member, value) => {
    const { run, known, paths } = await fixture();
    const { receipt } = verifyReceipt(envelopeOf(await run()), known);
    const { signReceipt } = await import('../../daemon/formats/receipt.ts');
    const signer = loadSigner(join(paths.keys, 'ledger.key'));
    expect(() =>
      verifyReceipt(signReceipt({ ...receipt, [member]: value } as Receipt, signer), known),
    ).toThrow(/contradicts itself/);
  });
});
