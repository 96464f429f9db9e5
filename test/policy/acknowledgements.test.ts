import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import {
  type Acknowledgement,
  signAcknowledgement,
  verifyAcknowledgement,
} from '../../daemon/formats/acknowledgement.ts';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex, toBase64 } from '../../daemon/formats/digest.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { AcknowledgementRounds } from '../../daemon/policy/acknowledgement-rounds.ts';
import { type TakenAcknowledgements, takeAcknowledgements } from '../../daemon/policy/acknowledgements.ts';
import { testBundle } from '../engine/bundle.ts';
import { EngineFixture, SITE } from '../engine/fixture.ts';
import { checkLedger } from '../oracle.ts';

let dir: string;
let fixture: EngineFixture;
let mail: NoteSigner;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hf-ack-'));
  mail = newKey('mail');
  fixture = new EngineFixture(bundleWith([mail]));
  for (const path of [fixture.paths.inbox, fixture.paths.outbox]) mkdirSync(path, { recursive: true });
  mkdirSync(join(fixture.paths.inbox, 'acknowledgements'));
  onTestFinished(() => {
    fixture.close();
    rmSync(dir, { recursive: true, force: true });
  });
});

function newKey(name: string): NoteSigner {
  const path = join(dir, `${name}-${Math.random()}.key`);
  createSigningKey(path, name);
  return loadSigner(path);
}

function bundleWith(keys: readonly NoteSigner[], version = 1): Bundle {
  const bundle = testBundle();
  const headquarters = { acknowledgement_keys: keys.map(({ vkey }) => vkey) };
  const metadata = { ...bundle.metadata, version };
  return { ...bundle, metadata, ...(keys.length === 0 ? {} : { headquarters }) };
}

const inbox = () => join(fixture.paths.inbox, 'acknowledgements');

function put(name: string, contents: string): string {
  const path = join(fixture.paths.outbox, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, contents);
  return sha256Hex(contents);
}

function words(sha256: string, changes: Partial<Acknowledgement> = {}): Acknowledgement {
  return { v: 1, site: SITE, file: 'a-file', sha256, received_at: '2031-03-01T11:00:00Z', ...changes };
}

function acknowledge(sha256: string, changes: Partial<Acknowledgement> = {}, by = mail): void {
  writeFileSync(join(inbox(), `${sha256}.json`), signAcknowledgement(words(sha256, changes), by));
}

function take(path = inbox()): Promise<TakenAcknowledgements> {
  return takeAcknowledgements({ path, outbox: fixture.paths.outbox, site: SITE, engine: fixture.handle() });
}

/** Every file in the outbox, by path. */
function left(): string[] {
  const entries = readdirSync(fixture.paths.outbox, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(fixture.paths.outbox.length + 1))
    .sort();
}

function entries(): Entry[] {
  const trust = { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] };
  const truth = checkLedger({ ledger: fixture.paths.ledger, head: fixture.paths.head }, trust);
  return truth.entries.filter(({ type }) => type === 'outbox.acknowledged');
}

describe('what headquarters acknowledged', () => {
  it('leaves the outbox, whatever it is and wherever it lies there; the rest stays', async () => {
    const receipt = put('receipt-1.json', 'one');
    const anchor = put('anchors/2031/anchor', 'two');
    put('receipt-3.json', 'three');
    acknowledge(receipt);
    acknowledge(anchor, { file: 'called-otherwise' });
    const taken = await take();
    expect(taken).toMatchObject({ refused: [], idle: [], record_ids: [expect.any(Number)] });
    expect(taken.removed.map(({ file }) => file).sort()).toEqual(['anchors/2031/anchor', 'receipt-1.json']);
    expect(left()).toEqual(['receipt-3.json']);
  });

  it('is on record in a form that anybody can verify again', async () => {
    acknowledge(put('receipt-1.json', 'one'));
    await take();
    const [entry] = entries();
    const [file] = (entry?.data.files ?? []) as unknown as (Acknowledgement & {
      vkey: string;
      signature: string;
    })[];
    if (file === undefined) throw new Error('nothing is on record');
    const { vkey, signature, ...said } = file;
    const payload = canonicalText({ ...said, v: 1, site: SITE } as never);
    const envelope = JSON.stringify({
      payloadType: 'application/vnd.holdfast.acknowledgement.v1+json',
      payload: toBase64(Buffer.from(payload)),
      signatures: [{ keyid: vkey.split('+').slice(0, 2).join('+'), sig: signature }],
    });
    expect(verifyAcknowledgement(envelope, { site: SITE, keys: [mail.vkey] }).vkey).toBe(mail.vkey);
  });

  it('is recorded once, also when the power failed between the entry and the deletion, or it is sent again', async () => {
    const digest = put('receipt-1.json', 'one');
    acknowledge(digest);
    await take();
    expect(left()).toEqual([]);
    // As if it had never been deleted, and the engine started anew.
    put('receipt-1.json', 'one');
    fixture.reopen();
    expect(await take()).toMatchObject({ removed: [{ file: 'receipt-1.json' }], record_ids: [] });
    expect(left()).toEqual([]);
    expect(await take()).toMatchObject({ removed: [], idle: [`${digest}.json`], record_ids: [] });
    expect(entries()).toHaveLength(1);
  });

  it('does not flood the ledger: a hundred in an entry, nothing for what is not there', async () => {
    for (let n = 0; n < 250; n++) acknowledge(put(`receipt-${n}.json`, `receipt ${n}`));
    for (let n = 0; n < 50; n++) acknowledge(sha256Hex(`never sent ${n}`));
    const taken = await take();
    expect([taken.removed.length, taken.idle.length, taken.record_ids.length]).toEqual([250, 50, 3]);
    expect(left()).toEqual([]);
    expect(entries().map(({ data }) => (data.files as unknown[]).length)).toEqual([100, 100, 50]);
  });

  it('stays on record through a rebuild, and a verifier finds nothing', async () => {
    for (let n = 0; n < 5; n++) acknowledge(put(`receipt-${n}.json`, `receipt ${n}`));
    await take();
    fixture.engine.close();
    const { ledger: ledgerPath } = fixture.paths;
    const standing = rebuildProjections(ledgerPath).find(({ table }) => table === 'standing');
    expect(standing).toMatchObject({ repaired: 0 });
    const trust = { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] };
    const report = await verifyLedger({
      ledgerPath,
      trust,
      projectionChecks: (database) => checkProjections(database),
    });
    expect(report.findings).toEqual([]);
    fixture.engine = fixture.open();
    put('receipt-1.json', 'receipt 1');
    expect(await take()).toMatchObject({ removed: [{ file: 'receipt-1.json' }], record_ids: [] });
  });

  it('is exactly what leaves, whoever signed the rest', async () => {
    const stranger = newKey('mail');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('good', 'stranger', 'elsewhere', 'changed', 'none'), { maxLength: 8 }),
        fc.nat(),
        async (kinds, salt) => {
          const names = kinds.map((kind, n) => {
            const digest = put(`${kind}-${n}`, `${salt} ${kind} ${n}`);
            if (kind === 'good') acknowledge(digest);
            if (kind === 'stranger') acknowledge(digest, {}, stranger);
            if (kind === 'elsewhere') acknowledge(digest, { site: 'outpost-8.example' });
            if (kind === 'changed') acknowledge(digest, { sha256: sha256Hex('other') });
            return `${kind}-${n}`;
          });
          await take();
          expect(left()).toEqual(names.filter((name) => !name.startsWith('good')).sort());
          for (const path of [inbox(), fixture.paths.outbox]) rmSync(path, { recursive: true });
          for (const path of [inbox(), fixture.paths.outbox]) mkdirSync(path, { recursive: true });
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('what cannot be verified', () => {
  const cases: [string, (digest: string, path: string) => void, string][] = [
    [
      'by a key that policy does not name',
      (digest) => acknowledge(digest, {}, newKey('mail')),
      'acknowledgement.unknown_key',
    ],
    [
      'for another site',
      (digest) => acknowledge(digest, { site: 'outpost-8.example' }),
      'acknowledgement.wrong_site',
    ],
    [
      'under the name of another file',
      (_digest, path) => writeFileSync(path, signAcknowledgement(words(sha256Hex('other')), mail)),
      'acknowledgement.misnamed',
    ],
    [
      'with one word changed',
      (digest, path) => {
        const envelope = JSON.parse(signAcknowledgement(words(sha256Hex('other')), mail));
        envelope.payload = toBase64(Buffer.from(canonicalText(words(digest) as never)));
        writeFileSync(path, JSON.stringify(envelope));
      },
      'acknowledgement.bad_signature',
    ],
    ['that is no JSON', (_digest, path) => writeFileSync(path, '<html>'), 'acknowledgement.malformed'],
    ['that is empty', (_digest, path) => writeFileSync(path, ''), 'acknowledgement.malformed'],
    ['of 65 KiB', (_digest, path) => writeFileSync(path, ' '.repeat(66_000)), 'acknowledgement.too_large'],
    [
      'that is a link',
      (_digest, path) => symlinkSync(join(dir, 'elsewhere'), path),
      'acknowledgement.file_not_regular',
    ],
    ['that is a directory', (_digest, path) => mkdirSync(path), 'acknowledgement.file_not_regular'],
  ];

  it.each(cases)('%s deletes nothing and makes no entry', async (_what, lay, code) => {
    const digest = put('receipt-1.json', 'one');
    writeFileSync(join(dir, 'elsewhere'), signAcknowledgement(words(digest), mail));
    lay(digest, join(inbox(), `${digest}.json`));
    const taken = await take();
    expect(taken.refused).toMatchObject([{ name: `${digest}.json`, code }]);
    expect(taken.refused[0]?.reason).toMatch(/nothing was deleted/i);
    expect(left()).toEqual(['receipt-1.json']);
    expect(entries()).toEqual([]);
  });

  it('keeps nothing else back', async () => {
    const bad = put('receipt-1.json', 'one');
    writeFileSync(join(inbox(), `${bad}.json`), '{');
    acknowledge(put('receipt-2.json', 'two'));
    await take();
    expect(left()).toEqual(['receipt-1.json']);
  });

  it('follows policy: a key that a newer bundle took away no longer counts, its successor does', async () => {
    const next = newKey('mail-2');
    const first = put('receipt-1.json', 'one');
    const second = put('receipt-2.json', 'two');
    expect(fixture.apply(bundleWith([next], 2), 2).status).toBe(200);
    acknowledge(first);
    acknowledge(second, {}, next);
    expect((await take()).refused).toMatchObject([{ code: 'acknowledgement.unknown_key' }]);
    expect(left()).toEqual(['receipt-1.json']);
    expect(fixture.apply(bundleWith([], 3), 3).status).toBe(200);
    acknowledge(put('receipt-3.json', 'three'), {}, next);
    await take();
    expect(left()).toEqual(['receipt-1.json', 'receipt-3.json']);
  });

  it('is not even believed by the engine when policy changes between looking and recording', async () => {
    const files = [{ ...words(put('receipt-1.json', 'one')), vkey: newKey('mail').vkey, signature: 'x' }];
    expect(fixture.call('outbox.acknowledge', { json: { files } as never }).body).toEqual({
      acknowledged: [],
      record_id: null,
    });
    expect(entries()).toEqual([]);
  });
});

describe('rounds', () => {
  const reports: TakenAcknowledgements[] = [];
  const rounds = () => {
    reports.length = 0;
    return new AcknowledgementRounds({
      inbox: fixture.paths.inbox,
      outbox: fixture.paths.outbox,
      site: SITE,
      engine: fixture.handle(),
      listener: {
        taken: (report) => reports.push(report),
        failed: (error) => {
          throw error;
        },
      },
    });
  };

  it('clear the inbox of what did its work, and put what was refused out of the way of the right one', async () => {
    const digest = put('receipt-1.json', 'one');
    const name = `${digest}.json`;
    const own = rounds();
    acknowledge(digest, {}, newKey('mail'));
    await own.inboxRound();
    expect(readdirSync(inbox())).toEqual(['refused']);
    expect(readdirSync(join(inbox(), 'refused'))).toEqual([name]);
    acknowledge(digest);
    await own.inboxRound();
    expect(left()).toEqual([]);
    expect(existsSync(join(inbox(), name))).toBe(false);
    // The same once more, with nothing left to do.
    acknowledge(digest);
    await own.inboxRound();
    expect(existsSync(join(inbox(), name))).toBe(false);
    expect(reports).toHaveLength(2);
  });

  it('keep a hundred refused ones, not all that somebody can make', async () => {
    const own = rounds();
    for (let n = 0; n < 150; n++) {
      const digest = put(`receipt-${n}.json`, `receipt ${n}`);
      writeFileSync(join(inbox(), `${digest}.json`), '{}');
    }
    await own.inboxRound();
    expect(readdirSync(join(inbox(), 'refused'))).toHaveLength(100);
    expect(left()).toHaveLength(150);
  });

  it('leave a medium as it is', async () => {
    const stick = join(dir, 'stick');
    mkdirSync(join(stick, 'acknowledgements'), { recursive: true });
    const digest = put('receipt-1.json', 'one');
    const path = join(stick, 'acknowledgements', `${digest}.json`);
    writeFileSync(path, signAcknowledgement(words(digest), mail));
    writeFileSync(join(stick, 'acknowledgements', 'desktop.ini'), 'x');
    const before = readFileSync(path);
    const own = rounds();
    expect((await own.fromMedium(stick)).removed).toHaveLength(1);
    expect((await own.fromMedium(stick)).removed).toHaveLength(0);
    expect(readFileSync(path)).toEqual(before);
    expect(left()).toEqual([]);
  });
});

describe('section headquarters', () => {
  const wrong = (keys: string[]): string => {
    const bundle = { ...testBundle(), headquarters: { acknowledgement_keys: keys } };
    try {
      compileBundle(bundle, '0'.repeat(64));
      return 'accepted';
    } catch (error) {
      return String((error as Error).message);
    }
  };

  it('takes keys that all verifiers agree about, each once', () => {
    const { vkey } = mail;
    expect(wrong([vkey])).toBe('accepted');
    expect(wrong([vkey, vkey])).toContain('stands here already');
    const [name = '', , material = ''] = vkey.split('+', 3);
    expect(wrong([`${name}+00000000+${material}`])).toContain('cannot be read');
    // A point of small order signs anything.
    const weak = Buffer.concat([Buffer.from([1]), Buffer.alloc(32)]).toString('base64');
    expect(wrong([`mail+00000000+${weak}`])).toMatch(/cannot be/);
  });
});
