import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { initializeLedger } from '../../daemon/engine/initialize.ts';
import { openInlineEngine } from '../../daemon/engine/inline.ts';
import { verifyAcknowledgement } from '../../daemon/formats/acknowledgement.ts';
import { sha256Hex, toBase64 } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { systemClock } from '../../daemon/host/clock.ts';
import { formatConfig } from '../../daemon/host/config.ts';
import { makeDir } from '../../daemon/host/durable-file.ts';
import { createSealingKey } from '../../daemon/host/sealer.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { lockWriter } from '../../daemon/ledger/writer-lock.ts';
import { importUpdate } from '../../daemon/policy/import.ts';
import { ReceiptBook } from '../../daemon/policy/receipts.ts';
import { PolicyStore } from '../../daemon/policy/store.ts';
import { createKeyFile } from '../../sync/repository/key-file.ts';
import { bundleBytes, SITE } from '../policy/publisher-world.ts';
import { ROOT } from '../structure/sources.ts';

/* Headquarters at the command line, towards a site that has imported once: countersigning its trust file, acknowledging. */

const PASSPHRASE = 'correct horse battery';
const MAIN = join(ROOT, 'daemon/main.ts');
let dir: string;
let paths: SitePaths;
let receipt: string;

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

const at = (name: string): string => join(dir, name);

function run(...args: string[]): Ran {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', NO_COLOR: '1' };
  const options = { cwd: dir, encoding: 'utf8', input: `${PASSPHRASE}\n`, env } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], options);
  return { code: status, out: stdout, err: stderr };
}

function json(...args: string[]): JsonObject & { exit: number | null } {
  const ran = run(...args, '--json');
  return { ...(JSON.parse(ran.out) as JsonObject), exit: ran.code };
}

function done(...args: string[]): Ran {
  const ran = run(...args);
  if (ran.code !== 0) throw new Error(`${args.join(' ')}: ${ran.err}${ran.out}`);
  return ran;
}

function ceremony(...names: string[]): void {
  for (const name of names)
    done('repo', 'sign', 'hq', '--key', `${name}.key`, '--passphrase-fd', '0', '--yes');
  done('repo', 'finish', 'hq', '--key', 'online.key', '--passphrase-fd', '0');
}

const signTrust = (file: string, name: string, ...more: string[]): Ran =>
  run('repo', 'sign-trust', file, '--repo', 'hq', '--key', `${name}.key`, '--passphrase-fd', '0', ...more);

/** A site that follows `hq`, with what its first import left. */
async function makeSite(): Promise<void> {
  paths = sitePaths(at('site'));
  const { root, trust, inbox, outbox, state, keys, policy } = paths;
  for (const path of [root, trust, inbox, outbox, state, keys, policy]) makeDir(path, 0o700);
  writeFileSync(paths.config, formatConfig({ site: SITE, profile: 'node', operatorActor: null }));
  copyFileSync(at('hq/repository/metadata/1.root.json'), join(trust, 'root.json'));
  const { vkey } = createSigningKey(join(keys, 'ledger.key'), `${SITE}/ledger`);
  createSealingKey(join(keys, 'sealing.key'));
  writeFileSync(join(trust, 'ledger.vkey'), `${vkey}\n`);
  const signer = loadSigner(join(keys, 'ledger.key'));
  const site = { site: SITE, profile: 'node' } as const;
  initializeLedger(paths, { ...site, signer, rootDigest: '0'.repeat(64), now: Date.now() });
  const engine = await openInlineEngine(root);
  const receipts = new ReceiptBook({ paths, ...site, engine, signer: () => signer });
  const store = new PolicyStore(policy);
  const source = { path: at('hq/repository'), paths, site: SITE, clock: systemClock, who: null };
  await importUpdate({ ...source, engine, store, receipts });
  await engine.stop('made');
  receipt = join(outbox, readdirSync(outbox)[0] ?? '');
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'hf-hq-'));
  for (const name of ['alice', 'bob', 'carol', 'online', 'mail', 'mallory'])
    await createKeyFile(at(`${name}.key`), { name, passphrase: PASSPHRASE, workFactor: 10 });
  const people = ['alice.key.pub', 'bob.key.pub', 'carol.key.pub'];
  done('repo', 'init', 'hq', '--root', ...people, '--online', 'online.key.pub');
  ceremony('alice', 'bob');
  writeFileSync(at('bundle.json'), bundleBytes(1));
  done('repo', 'publish', 'hq', 'bundle.json', '--site', SITE);
  ceremony('alice', 'bob');
  await makeSite();
  done('site', 'export-trust', 'plain.trust', '--dir', paths.root);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('repo sign-trust', () => {
  const root = 'hq/repository/metadata/1.root.json';
  const verify = (trust: string, ...more: string[]) =>
    json('receipt', 'verify', receipt, '--trust', trust, ...more);

  it('shows what is signed with the fingerprint that the site shows, and signs nothing unseen', () => {
    copyFileSync(at('plain.trust'), at('seen.trust'));
    const shown = done('site', 'export-trust', 'again.trust', '--dir', paths.root).out;
    const fingerprint = /Fingerprint: ([0-9a-f ]{71})/.exec(shown)?.[1] ?? 'none';
    const ran = signTrust('seen.trust', 'alice');
    expect(ran.code).toBe(2);
    for (const words of [
      SITE,
      'You sign as alice',
      fingerprint,
      'root version 1 of this repository',
      '--yes',
    ])
      expect(ran.err).toContain(words);
    expect(readFileSync(at('seen.trust'))).toEqual(readFileSync(at('plain.trust')));
  });

  it('is complete with as many as sign a bundle, in any order; verifiers say so', () => {
    copyFileSync(at('plain.trust'), at('full.trust'));
    expect(verify('full.trust')).toMatchObject({ exit: 0, countersignature: { state: 'absent' } });
    expect(signTrust('full.trust', 'carol', '--yes')).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 of 2'),
    });
    expect(verify('full.trust', '--root', root)).toMatchObject({
      exit: 10,
      error: { code: 'trust.too_few_countersignatures' },
    });
    done(
      'repo',
      'sign-trust',
      'full.trust',
      '--repo',
      'hq',
      '--key',
      'alice.key',
      '--passphrase-fd',
      '0',
      '--yes',
    );
    const signed = { state: 'verified', signers: ['alice', 'carol'], root_version: 1 };
    expect(verify('full.trust', '--root', root)).toMatchObject({
      exit: 0,
      verified: true,
      countersignature: signed,
    });
    // Without a root nothing can be said; at the site itself its pinned root serves.
    expect(verify('full.trust')).toMatchObject({ exit: 0, countersignature: { state: 'unchecked' } });
    const atSite = json('ledger', 'verify', '--trust', 'full.trust', '--dir', paths.root);
    expect(atSite).toMatchObject({ exit: 0, countersignature: signed });
    const words = run('ledger', 'verify', '--trust', 'full.trust', '--dir', paths.root).out;
    expect(words).toContain('countersigned by headquarters: alice, carol');
    expect(run('receipt', 'verify', receipt, '--trust', 'plain.trust').out).toContain('not countersigned');
  });

  it('holds through changes of the root, followed from the one that is believed', () => {
    done(
      'repo',
      'rotate',
      'hq',
      'targets',
      '--add',
      'mallory.key.pub',
      '--remove',
      'alice',
      '--threshold',
      '1',
    );
    ceremony('alice', 'bob');
    const second = 'hq/repository/metadata/2.root.json';
    copyFileSync(at('plain.trust'), at('later.trust'));
    expect(signTrust('later.trust', 'alice', '--yes').err).toContain('alice is none of them');
    expect(signTrust('later.trust', 'mallory', '--yes').code).toBe(0);
    expect(verify('later.trust', '--root', root)).toMatchObject({
      exit: 13,
      error: { code: 'trust.unknown_countersigner' },
    });
    expect(verify('later.trust', '--root', root, '--root', second)).toMatchObject({
      exit: 0,
      countersignature: { signers: ['mallory'], root_version: 2 },
    });
    expect(verify('later.trust', '--root', second, '--root', root)).toMatchObject({
      exit: 2,
      error: { code: 'trust.bad_root' },
    });
    // The site that pinned the first root cannot tell: no false alarm, and no false praise.
    expect(json('ledger', 'verify', '--trust', 'later.trust', '--dir', paths.root)).toMatchObject({
      exit: 0,
      countersignature: { state: 'unchecked' },
    });
  });

  it('changed afterwards is an error wherever it is used, and no tool signs on top of it', () => {
    const envelope = JSON.parse(readFileSync(at('full.trust'), 'utf8')) as { payload: string };
    const text = Buffer.from(envelope.payload, 'base64').toString('utf8');
    envelope.payload = toBase64(Buffer.from(text.replace('"profile": "node"', '"profile": "dev"')));
    writeFileSync(at('changed.trust'), JSON.stringify(envelope));
    const wrong = { exit: 10, error: { code: 'trust.bad_countersignature' } };
    expect(verify('changed.trust', '--root', root)).toMatchObject(wrong);
    expect(json('ledger', 'verify', '--trust', 'changed.trust', '--dir', paths.root)).toMatchObject(wrong);
    const permit = ['permit', 'verify', receipt, '--trust', 'changed.trust', '--root', root];
    expect(json(...permit)).toMatchObject(wrong);
    expect(signTrust('changed.trust', 'bob', '--yes').err).toContain('trust.bad_countersignature');
  });

  it('is refused for a site of another publisher', () => {
    const trust = JSON.parse(readFileSync(at('plain.trust'), 'utf8')) as JsonObject;
    writeFileSync(at('foreign.trust'), JSON.stringify({ ...trust, root: toBase64(Buffer.from('{}')) }));
    expect(signTrust('foreign.trust', 'mallory', '--yes')).toMatchObject({
      code: 2,
      err: expect.stringContaining('never published in'),
    });
  });
});

describe('receipt acknowledge', () => {
  const acknowledge = (files: string[], out: string, ...more: string[]) =>
    json(
      'receipt',
      'acknowledge',
      ...files,
      '--trust',
      'plain.trust',
      '--key',
      'mail.key',
      '-o',
      out,
      '--passphrase-fd',
      '0',
      ...more,
    );
  const keys = () => [readFileSync(at('mail.key.pub'), 'utf8').trim()];

  it('verifies receipts and anchors first, under the names that they have on the shelf or on a stick', () => {
    const digest = sha256Hex(readFileSync(receipt));
    const name = receipt.split('/').at(-1) ?? '';
    mkdirSync(at('shelf'));
    copyFileSync(receipt, at(`shelf/${digest}.${name}`));
    const { checkpoint } = json('receipt', 'verify', receipt, '--trust', 'plain.trust') as {
      checkpoint?: string;
    };
    writeFileSync(at('shelf/anchor-1'), `old 0\n\n${checkpoint}`);
    const ran = acknowledge([`shelf/${digest}.${name}`, 'shelf/anchor-1'], 'shelf/acknowledgements');
    expect(ran).toMatchObject({
      exit: 0,
      site: SITE,
      files: [{ file: name, kind: 'receipt' }, { kind: 'anchor' }],
    });
    const text = readFileSync(at(`shelf/acknowledgements/${digest}.json`), 'utf8');
    const { acknowledgement } = verifyAcknowledgement(text, { site: SITE, keys: keys() });
    expect(acknowledgement).toMatchObject({ file: name, sha256: digest });
    // Again: nothing is replaced.
    acknowledge([receipt], 'shelf/acknowledgements');
    expect(readFileSync(at(`shelf/acknowledgements/${digest}.json`), 'utf8')).toBe(text);
  });

  it('acknowledges nothing that does not verify, and the others all the same', () => {
    const envelope = JSON.parse(readFileSync(receipt, 'utf8')) as { payload: string };
    const text = Buffer.from(envelope.payload, 'base64').toString('utf8').replace('"applied"', '"refused"');
    writeFileSync(at('forged.json'), JSON.stringify({ ...envelope, payload: toBase64(Buffer.from(text)) }));
    writeFileSync(at(`${'0'.repeat(64)}.receipt.json`), readFileSync(receipt));
    writeFileSync(at('anchor-x'), 'old 0\n\nelse.example/ledger\n1\nAAAA\n\n— else.example/ledger AAAA\n');
    writeFileSync(at('notes.txt'), 'remember the milk');
    const bad = ['forged.json', `${'0'.repeat(64)}.receipt.json`, 'anchor-x', 'notes.txt'];
    const ran = acknowledge([...bad, receipt], 'partly') as {
      exit: number;
      files: { refused: { code: string } | null }[];
    };
    expect(ran.exit).toBe(10);
    expect(ran.files.map(({ refused }) => refused?.code ?? null)).toEqual([
      'dsse.threshold',
      'acknowledge.damaged',
      expect.stringMatching(/^(note|checkpoint)\./),
      'acknowledge.unknown_kind',
      null,
    ]);
    expect(readdirSync(at('partly'))).toHaveLength(1);
    expect(acknowledge(['notes.txt'], 'as-is', '--as-is')).toMatchObject({
      exit: 0,
      files: [{ kind: 'unverified' }],
    });
  });

  it('needs a key, a file and a place that are there', () => {
    expect(acknowledge([receipt], 'no/such/place')).toMatchObject({
      exit: 2,
      error: { code: 'file.no_directory' },
    });
    expect(acknowledge(['gone.json'], 'never')).toMatchObject({ exit: 2, error: { code: 'file.missing' } });
    expect(existsSync(at('never'))).toBe(false);
  });
});

describe('two who write into one publisher', () => {
  const refresh = ['repo', 'refresh', 'hq', '--key', 'online.key', '--passphrase-fd'];
  const version = () =>
    (
      JSON.parse(readFileSync(at('hq/repository/metadata/timestamp.json'), 'utf8')) as {
        signed: { version: number };
      }
    ).signed.version;

  it('the second is told to wait, until the first has ended', () => {
    const first = lockWriter(at('hq/.publisher'));
    const before = version();
    for (const args of [refresh, ['repo', 'finish', 'hq', '--key', 'online.key', '--passphrase-fd']]) {
      expect(json(...args, '0')).toMatchObject({ exit: 5, error: { code: 'publish.in_use' } });
    }
    expect(json('repo', 'discard', 'hq')).toMatchObject({ exit: 5, error: { code: 'publish.in_use' } });
    expect(json('repo', 'show', 'hq').exit).toBe(0);
    expect(version()).toBe(before);
    first.release();
    done(...refresh, '0');
    expect(version()).toBe(before + 1);
  });

  it('at the same moment publish one after the other, or not at all', async () => {
    writeFileSync(at('passphrase'), `${PASSPHRASE}\n`);
    const before = version();
    const codes = await Promise.all(
      [1, 2, 3].map(() => {
        const passphrase = openSync(at('passphrase'), 'r');
        const child = spawn(process.execPath, [MAIN, ...refresh, '3'], {
          cwd: dir,
          stdio: ['ignore', 'ignore', 'ignore', passphrase],
        });
        closeSync(passphrase);
        return new Promise<number | null>((resolve) => child.once('close', resolve));
      }),
    );
    expect(codes.every((code) => code === 0 || code === 5)).toBe(true);
    expect(version() - before).toBe(codes.filter((code) => code === 0).length);
    expect(codes).toContain(0);
  });
});
