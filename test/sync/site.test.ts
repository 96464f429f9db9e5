import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { must } from '../demo/narrator.ts';
import { SITE, Stage } from '../demo/stage.ts';
import { ROOT } from '../structure/sources.ts';
import { makeCertificates } from './certificates.ts';
import { hasNginx, Nginx } from './nginx.ts';

/* The command as operators type it, at a site whose daemon runs, against a real web server. */

describe.skipIf(!hasNginx)('holdfast sync with nginx (skipped where it is not installed)', () => {
  let stage: Stage;
  let nginx: Nginx;
  const config: Record<string, unknown> = {};
  const once = () => stage.holdfast('sync', '--once', '--json');
  const inForce = async () => (await stage.operator.policy()) as { version?: number; update_id?: string };

  beforeAll(async () => {
    stage = new Stage();
    const made = await stage.holdfast(
      'init',
      '--site',
      SITE,
      '--profile',
      'dev',
      '--policy',
      stage.writePolicy(),
    );
    must(made.code === 0, made.stderr);
    await stage.start('daemon');
    const certificates = makeCertificates(stage.dir, 'hq');
    nginx = new Nginx(join(stage.dir, 'nginx'));
    await nginx.start(join(stage.paths.publisher, 'repository'), certificates);
    Object.assign(config, {
      mirror: `${nginx.url}repository/`,
      upstream: `${nginx.url}shelf/${SITE}/`,
      hosts: ['localhost'],
      ...certificates.client,
      ca: certificates.ca,
      jitter: '0s',
    });
  });
  afterAll(async () => {
    await nginx.stop();
    expect(await stage.clear()).toEqual([]);
  });

  function configure(changes: Record<string, unknown> = {}): void {
    const settings = JSON.parse(readFileSync(stage.paths.config, 'utf8')) as Record<string, unknown>;
    writeFileSync(stage.paths.config, JSON.stringify({ ...settings, sync: { ...config, ...changes } }));
  }

  async function publish(version: number): Promise<void> {
    const source = join(stage.paths.publisher, 'policy');
    const path = join(source, 'metadata.yaml');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^version: \d+$/m, `version: ${version}`));
    const ran = await stage.holdfast('repo', 'publish', stage.paths.publisher, source, '--site', SITE);
    must(ran.code === 0, ran.stderr);
  }

  it('says what is missing where nothing is set up, and what is wrong where something is', async () => {
    const bare = await once();
    expect([bare.code, bare.stderr]).toEqual([2, expect.stringContaining('docs/operate/sync.md')]);
    configure({ schedule: '99 * * * *' });
    expect((await once()).stderr).toContain('/sync/schedule');
    configure({ hosts: ['hq.example'] });
    expect((await once()).stderr).toContain('/sync/mirror');
  });

  it('brings a new policy into force, and its traces upstream', async () => {
    configure();
    await publish(2);
    writeFileSync(join(stage.paths.outbox, 'anchor'), 'head');
    const ran = await once();
    expect([ran.code, ran.stderr]).toEqual([0, '']);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      imported: { applied: true, unchanged: false },
      carried: { sent: expect.arrayContaining([expect.stringMatching(/^[0-9a-f]{64}\.anchor$/)]) },
      failures: [],
    });
    const bundles = JSON.stringify(await inForce());
    expect(bundles).toContain('"version":2');
  });

  it('a hostile mirror gains nothing: the daemon refuses, and the policy in force stays', async () => {
    const before = await inForce();
    await publish(3);
    const timestamp = join(stage.paths.publisher, 'repository/metadata/timestamp.json');
    const text = readFileSync(timestamp, 'utf8');
    const signed = JSON.parse(text) as { signed: { expires: string } };
    signed.signed.expires = '2099-01-01T00:00:00Z';
    writeFileSync(timestamp, JSON.stringify(signed));
    const ran = await once();
    expect([ran.code, JSON.parse(ran.stdout).imported]).toEqual([
      3,
      { applied: false, code: expect.stringMatching(/^update\./), reason: expect.any(String) },
    ]);
    expect((await inForce()).update_id).toEqual(before.update_id);
    writeFileSync(timestamp, text);
    expect((await once()).code).toBe(0);
  });

  it('keeps a mirror for later while no daemon runs', async () => {
    await publish(4);
    await stage.end('daemon', 'SIGTERM');
    const ran = await stage.holdfast('sync', '--once');
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('holdfast import')]);
    const imported = await stage.holdfast('import', join(stage.paths.inbox, 'mirror'));
    expect(imported.stderr + imported.code).toBe('The daemon is not running; importing directly.\n0');
  });

  it('runs as a process until it is told to stop, and only once per site', async () => {
    const child = spawn(process.execPath, [join(ROOT, 'daemon/main.ts'), 'sync', '--dir', stage.paths.root], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      log += chunk;
    });
    await stage.until('a round', async () => log.includes('"msg":"round"'));
    const second = await once();
    expect([second.code, JSON.parse(second.stdout).error.code]).toEqual([5, 'socket.in_use']);
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(log).not.toContain('"level":50');
  });

  it('says of an update that it waits, and does not offer it again', async () => {
    await stage.start('daemon');
    const source = join(stage.paths.publisher, 'policy');
    const path = join(source, 'metadata.yaml');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^version: \d+$/m, 'version: 9'));
    const at = `${new Date(Date.now() + 86_400_000).toISOString().slice(0, 19)}Z`;
    const site = ['--site', SITE, '--effective-at', at];
    const published = await stage.holdfast('repo', 'publish', stage.paths.publisher, source, ...site);
    must(published.code === 0, published.stderr);
    const ran = await once();
    expect([ran.code, JSON.parse(ran.stdout).imported]).toMatchObject([
      4,
      {
        applied: false,
        held: true,
        code: 'policy.scheduled',
        reason: expect.stringContaining('takes effect at'),
      },
    ]);
    expect(JSON.parse((await once()).stdout).imported).toBeNull();
  });
});
