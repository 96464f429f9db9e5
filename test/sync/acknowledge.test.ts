import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { createKeyFile } from '../../sync/repository/key-file.ts';
import { must } from '../demo/narrator.ts';
import { SITE, Stage } from '../demo/stage.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { makeCertificates } from './certificates.ts';
import { hasNginx, Nginx } from './nginx.ts';

/* From a site's outbox to headquarters and back: what headquarters signed for leaves the outbox, nothing else does. */

const PASSPHRASE = 'correct horse battery';

/** A site whose policy names headquarters' key, with its daemon running, and headquarters' desk beside it. */
class Line {
  readonly stage = new Stage();
  readonly key = join(this.stage.dir, 'mail.key');
  readonly trust = join(this.stage.dir, 'site.trust');

  async open(): Promise<void> {
    const { vkey } = await createKeyFile(this.key, { name: 'mail', passphrase: PASSPHRASE, workFactor: 10 });
    await createKeyFile(this.#other, { name: 'mail', passphrase: PASSPHRASE, workFactor: 10 });
    const policy = this.stage.writePolicy();
    writeFileSync(join(policy, 'headquarters.yaml'), `acknowledgement_keys:\n  - ${vkey}\n`);
    await this.done('init', '--site', SITE, '--profile', 'dev', '--policy', policy);
    await this.stage.start('daemon');
    await this.done('site', 'export-trust', this.trust);
  }

  get #other(): string {
    return join(this.stage.dir, 'other.key');
  }

  async done(...args: string[]): Promise<string> {
    const ran = await this.stage.holdfast(...args);
    must(ran.code === 0, `${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
    return ran.stdout;
  }

  /** Headquarters signs for files; ends the run when any of them does not verify. */
  acknowledge(files: string[], out: string, key: 'mail' | 'other' = 'mail'): void {
    const signer = key === 'mail' ? this.key : this.#other;
    const args = ['receipt', 'acknowledge', ...files, '--trust', this.trust, '--key', signer, '-o', out];
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(ROOT, 'daemon/main.ts'), ...args, '--passphrase-fd', '0'],
      { input: `${PASSPHRASE}\n`, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } },
    );
    must(status === 0, `${stdout}${stderr}`);
  }

  get outbox(): string[] {
    const names = readdirSync(this.stage.paths.outbox);
    return names.filter((name) => !name.startsWith('.') && name !== 'anchors');
  }

  /** Entries that say what headquarters has; the whole ledger is checked on the way. */
  recorded(): { file: string }[] {
    const { ledger, head, trust } = this.stage.paths;
    const vkeys = readFileSync(join(trust, 'ledger.vkey'), 'utf8').trim().split('\n');
    const { entries } = checkLedger({ ledger, head }, { origin: `${SITE}/ledger`, vkeys });
    const about = entries.filter(({ type }) => type === 'outbox.acknowledged');
    return about.flatMap(({ data }) => data.files as unknown as { file: string }[]);
  }
}

describe('by stick', () => {
  const line = new Line();
  beforeAll(() => line.open());
  afterAll(async () => expect(await line.stage.clear()).toEqual([]));

  it('receipts go home and acknowledgements come back; only then does the outbox let go', async () => {
    const { stage } = line;
    const stick = join(stage.dir, 'stick');
    cpSync(join(stage.paths.publisher, 'repository'), stick, { recursive: true });
    await line.done('import', stick);
    // The import at init and this one are the same update: one receipt, on the stick and in the outbox.
    const [name = 'none'] = line.outbox;
    expect(line.outbox).toEqual([expect.stringMatching(/^receipt-.+\.json$/)]);
    const home = join(stick, 'receipts', name);
    line.acknowledge([home], join(stick, 'acknowledgements'), 'other');
    const refused = await stage.holdfast('import', stick, '--json');
    expect([refused.code, JSON.parse(refused.stdout)]).toMatchObject([
      3,
      { unchanged: true, acknowledgements: { refused: [{ code: 'acknowledgement.unknown_key' }] } },
    ]);
    expect(line.outbox).toEqual([name]);

    const second = join(stage.dir, 'second-stick');
    mkdirSync(second);
    line.acknowledge([home], join(second, 'acknowledgements'));
    expect(await line.done('import', second)).toContain('1 file left the outbox');
    expect(line.outbox).toEqual([]);
    expect(line.recorded()).toMatchObject([{ file: name }]);
    expect(await line.done('import', second)).toContain('not in it');
    expect(line.recorded()).toHaveLength(1);
    expect(await line.done('import', stick)).not.toContain(stage.paths.outbox);
    expect(await line.done('ledger', 'verify')).toContain('INTACT');
  });

  it('lets go of anchors too, and knows from then on how far its history is known outside', async () => {
    const { stage } = line;
    const folder = join(stage.paths.outbox, 'anchors');
    await line.done('anchor', 'export');
    const files = readdirSync(folder).map((name) => join(folder, name));
    expect(files.length).toBeGreaterThan(0);
    const stick = join(stage.dir, 'anchor-stick');
    mkdirSync(stick);
    line.acknowledge(files, join(stick, 'acknowledgements'));
    await line.done('import', stick);
    const [newest] = (await line.done('anchor', 'list', '--json')).split('\n');
    const { size } = JSON.parse(newest ?? '{}') as { size: number };
    const { stdout } = await stage.holdfast('status', '--json');
    const { anchors } = (JSON.parse(stdout) as { daemon: JsonObject }).daemon as unknown as {
      anchors: { acknowledged: { size: number } };
    };
    expect(line.recorded().filter(({ file }) => file.endsWith('.anchor'))).toHaveLength(files.length);
    expect(anchors.acknowledged.size).toBeLessThanOrEqual(size);
    // What is left in the outbox goes on from what headquarters has.
    const left = readdirSync(folder).map((name) => Number(name.slice(0, 12)));
    for (const old of left) expect(old).toBeGreaterThanOrEqual(anchors.acknowledged.size);
    expect(await line.done('ledger', 'verify')).toContain('INTACT');
  });

  it('also while no daemon runs', async () => {
    const { stage } = line;
    await stage.end('daemon', 'SIGTERM');
    const anchor = join(stage.paths.outbox, 'note');
    writeFileSync(anchor, 'whatever comes later');
    const stick = join(stage.dir, 'third-stick');
    mkdirSync(join(stick, 'acknowledgements'), { recursive: true });
    const empty = await stage.holdfast('import', stick, '--json');
    expect([empty.code, JSON.parse(empty.stdout)]).toMatchObject([
      0,
      { acknowledgements: { removed_total: 0 } },
    ]);
    writeFileSync(join(stick, 'acknowledgements', `${sha256Hex('whatever comes later')}.json`), 'forged');
    const ran = await stage.holdfast('import', stick, '--json');
    expect([ran.code, JSON.parse(ran.stdout)]).toMatchObject([
      3,
      { acknowledgements: { refused: [{ code: 'acknowledgement.malformed' }] } },
    ]);
    expect(existsSync(anchor)).toBe(true);
  });
});

describe.skipIf(!hasNginx)('by link, with nginx (skipped where it is not installed)', () => {
  const line = new Line();
  let nginx: Nginx;
  const shelf = () => join(nginx.shelf, SITE);

  beforeAll(async () => {
    await line.open();
    const { stage } = line;
    const certificates = makeCertificates(stage.dir, 'hq');
    nginx = new Nginx(join(stage.dir, 'nginx'));
    await nginx.start(join(stage.paths.publisher, 'repository'), certificates);
    const settings = JSON.parse(readFileSync(stage.paths.config, 'utf8')) as Record<string, unknown>;
    const sync = {
      mirror: `${nginx.url}repository/`,
      upstream: `${nginx.url}shelf/${SITE}/`,
      hosts: ['localhost'],
      ...certificates.client,
      ca: certificates.ca,
      jitter: '0s',
    };
    writeFileSync(stage.paths.config, JSON.stringify({ ...settings, sync }));
  });
  afterAll(async () => {
    await nginx.stop();
    expect(await line.stage.clear()).toEqual([]);
  });

  const onShelf = () =>
    readdirSync(shelf()).filter((name) => name.endsWith('.json') || name.includes('anchor'));

  it('what sync carried is acknowledged on the shelf, fetched by sync, and leaves the outbox', async () => {
    const { stage } = line;
    await line.done('import', join(stage.paths.publisher, 'repository'));
    await line.done('sync', '--once');
    const sent = onShelf();
    expect(sent).toHaveLength(1);
    line.acknowledge(
      sent.map((name) => join(shelf(), name)),
      join(shelf(), 'acknowledgements'),
    );
    expect(line.outbox).toHaveLength(1);
    await line.done('sync', '--once');
    await stage.until('the outbox to be empty', async () => line.outbox.length === 0);
    expect(line.recorded()).toHaveLength(1);
    // The next round forgets what is over, on this side of the line too.
    await stage.until('the inbox to be empty', async () => {
      return readdirSync(join(stage.paths.inbox, 'acknowledgements')).length === 0;
    });
    expect(JSON.parse(await line.done('sync', '--once', '--json'))).toMatchObject({
      carried: { sent: [], acknowledged: [], failures: [] },
    });
  });

  it('a shelf in the wrong hands empties nothing, and the right word still arrives', async () => {
    const { stage } = line;
    const timestamp = join(stage.paths.publisher, 'repository/metadata/timestamp.json');
    const text = readFileSync(timestamp, 'utf8');
    writeFileSync(timestamp, text.replace('"expires": "2', '"expires": "3'));
    await stage.holdfast('sync', '--once');
    writeFileSync(timestamp, text);
    await stage.until('a receipt', async () => line.outbox.length === 1);
    await stage.holdfast('sync', '--once');
    const fresh = onShelf().filter((name) => name.includes(line.outbox[0] ?? 'none'));
    const digest = fresh[0]?.slice(0, 64) ?? '';
    const answer = join(shelf(), 'acknowledgements', `${digest}.json`);
    line.acknowledge(
      fresh.map((name) => join(shelf(), name)),
      join(shelf(), 'acknowledgements'),
      'other',
    );
    await stage.holdfast('sync', '--once');
    const aside = join(stage.paths.inbox, 'acknowledgements/refused');
    await stage.until('it to be put aside', async () => existsSync(aside) && readdirSync(aside).length === 1);
    expect(line.outbox).toHaveLength(1);
    rmSync(answer);
    line.acknowledge(
      fresh.map((name) => join(shelf(), name)),
      join(shelf(), 'acknowledgements'),
    );
    await stage.holdfast('sync', '--once');
    await stage.until('the outbox to be empty', async () => line.outbox.length === 0);
    expect(line.recorded()).toHaveLength(2);
  });
});
