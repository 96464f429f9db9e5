import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { signEnvelope } from '../../daemon/formats/dsse.ts';
import { NOW, PublisherWorld, SITE } from '../policy/publisher-world.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { hasNginx, Nginx } from './nginx.ts';
import { Place } from './place.ts';

/* Against the web server that headquarters would run, with certificates as headquarters would make them. */

describe.skipIf(!hasNginx)('with nginx (skipped where it is not installed)', () => {
  const base = mkdtempSync(join(tmpdir(), 'hf-sync-'));
  let certificates: Certificates;
  let others: Certificates;
  let world: PublisherWorld;
  let nginx: Nginx;
  let place: Place;
  let count = 0;
  const mirror = () => `${nginx.url}repository/`;

  beforeAll(async () => {
    certificates = makeCertificates(base, 'hq');
    others = makeCertificates(base, 'others');
    world = new PublisherWorld(base);
    world.publish(1);
    nginx = new Nginx(join(base, 'nginx'));
    await nginx.start(world.dir, certificates);
  });
  afterAll(async () => {
    await nginx.stop();
    rmSync(base, { recursive: true, force: true });
  });
  beforeEach(() => {
    count += 1;
    place = new Place(join(base, `site-${count}`), world.root, certificates);
  });

  const codes = (report: { failures: { code: string }[] }) => report.failures.map(({ code }) => code);

  describe('a mirror', () => {
    it('is what the verifier accepts, and is offered once', async () => {
      place.judgement = { applied: true, unchanged: false };
      const report = await place.round(place.config(mirror()));
      expect(report).toMatchObject({ failures: [], imported: { applied: true }, mirror: { new: true } });
      const { siteTarget } = await world.verify({ repositoryDir: join(place.paths.inbox, 'mirror') });
      expect(siteTarget.site).toBe(SITE);
      expect(readdirSync(place.paths.inbox)).toEqual(['mirror']);
      expect(await place.round(place.config(mirror()))).toMatchObject({
        mirror: { new: false },
        imported: null,
      });
      expect(place.offered).toEqual([join(place.paths.inbox, 'mirror')]);
    });

    it('follows what is published, and fetches no target twice', async () => {
      await place.round(place.config(mirror()));
      world.publish(2, { now: NOW + 1 });
      const before = nginx.requests().length;
      await place.round(place.config(mirror()));
      const { siteTarget } = await world.verify({ repositoryDir: join(place.paths.inbox, 'mirror') });
      expect(siteTarget.environments.production?.version).toBe(2);
      const asked = nginx.requests().slice(before);
      await place.round(place.config(mirror()));
      const again = nginx.requests().slice(before + asked.length);
      expect(asked.filter((line) => line.includes('/targets/'))).toHaveLength(2);
      expect(again.filter((line) => line.includes('/targets/'))).toEqual([]);
    });

    it('waits in inbox when the daemon is not there, and is offered again', async () => {
      const config = place.config(mirror());
      expect((await place.round(config)).imported).toBeNull();
      expect((await place.round(config)).mirror?.new).toBe(true);
      expect(place.offered).toHaveLength(2);
    });

    it('that was refused is offered again only a day later', async () => {
      place.judgement = { applied: false, code: 'update.expired', reason: 'old' };
      const config = place.config(mirror());
      await place.round(config);
      await place.round(config);
      expect(place.offered).toHaveLength(1);
      place.now += 86_400_000;
      await place.round(config);
      expect(place.offered).toHaveLength(2);
    });

    it('follows no link that somebody laid into inbox', async () => {
      const elsewhere = join(base, `elsewhere-${count}`);
      mkdirSync(elsewhere);
      symlinkSync(elsewhere, join(place.paths.inbox, 'mirror.partial'));
      symlinkSync(elsewhere, join(place.paths.inbox, 'mirror'));
      expect(codes(await place.round(place.config(mirror())))).toEqual([]);
      expect(readdirSync(elsewhere)).toEqual([]);
      await world.verify({ repositoryDir: join(place.paths.inbox, 'mirror') });
    });
  });

  describe('who speaks with whom', () => {
    it('a client without the right certificate gets nothing', async () => {
      const report = await place.round(place.config(mirror(), others.client));
      expect(codes(report)).toEqual(['sync.http_status']);
      expect(report.mirror).toBeNull();
      expect(place.files(place.paths.inbox)).toEqual({});
    });

    it('a server that another authority certified is not believed', async () => {
      const report = await place.round(place.config(mirror(), { ca: others.ca }));
      expect(codes(report)).toEqual(['sync.tls']);
    });

    it('not even where the environment says not to look', async () => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
      try {
        const direct = place.config(mirror(), { ca: others.ca });
        expect(codes(await place.round(direct))).toEqual(['sync.tls']);
        expect(codes(await place.round({ ...direct, proxy: await proxyUrl() }))).toEqual(['sync.tls']);
      } finally {
        vi.unstubAllEnvs();
      }
    });

    it('a certificate for another name is not believed', async () => {
      const config = place.config(mirror().replace('localhost', 'localtest'), {
        hosts: ['localtest'],
        proxy: await proxyUrl(),
      });
      expect(codes(await place.round(config))).toEqual(['sync.tls']);
    });

    it('a key that others can read is not used, and a key of another certificate neither', async () => {
      const exposed = join(base, 'exposed.key');
      writeFileSync(exposed, readFileSync(certificates.client.key), { mode: 0o644 });
      await expect(place.round(place.config(mirror(), { key: exposed }))).rejects.toMatchObject({
        code: 'secret.exposed',
      });
      await expect(place.round(place.config(mirror(), { key: others.client.key }))).rejects.toMatchObject({
        code: 'sync.bad_credentials',
      });
    });

    it('a host that is not on the list is not asked', async () => {
      const before = nginx.requests().length;
      const report = await place.round(place.config(mirror(), { hosts: ['hq.example'] }));
      expect(codes(report)).toEqual(['sync.host_not_allowed']);
      expect(nginx.requests()).toHaveLength(before);
    });

    it('a redirect is not followed', async () => {
      const report = await place.round(place.config(`${nginx.url}moved/`));
      expect(codes(report)).toEqual(['sync.redirected']);
    });
  });

  let proxy: Server | null = null;
  const tunnels: string[] = [];
  /** A proxy that tunnels wherever it is told to, by names of its own. */
  async function proxyUrl(): Promise<string> {
    if (proxy === null) {
      proxy = createServer((_request, response) => response.writeHead(501).end());
      proxy.on('connect', (request, socket) => {
        tunnels.push(request.url ?? '');
        if (request.url === 'refused:443') {
          socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
          return;
        }
        const far = connect(nginx.port, '127.0.0.1', () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          far.pipe(socket).pipe(far);
        });
        for (const end of [far, socket]) end.on('error', () => far.destroy());
      });
      await new Promise<void>((done) => proxy?.listen(0, '127.0.0.1', done));
    }
    const address = proxy.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  }
  afterAll(() => {
    proxy?.closeAllConnections();
    proxy?.close();
  });

  describe('through a proxy', () => {
    it('everything goes through tunnels, and TLS is with the far side', async () => {
      tunnels.length = 0;
      const report = await place.round(place.config(mirror(), { proxy: await proxyUrl() }));
      expect(report.failures).toEqual([]);
      expect(new Set(tunnels)).toEqual(new Set([`localhost:${nginx.port}`]));
      await world.verify({ repositoryDir: join(place.paths.inbox, 'mirror') });
    });

    it('that refuses, or is not there, the round says so', async () => {
      const refused = place.config('https://refused/', { hosts: ['refused'], proxy: await proxyUrl() });
      expect(codes(await place.round(refused))).toEqual(['sync.proxy']);
      expect(codes(await place.round({ ...refused, proxy: 'http://127.0.0.1:1' }))).toEqual(['sync.proxy']);
    });
  });

  describe('outbox', () => {
    const receipt = Buffer.from('{"receipt":1}');
    const digest = sha256Hex(receipt);
    const name = `receipts/${digest}.one.json`;
    const carrying = () => {
      const shelf = `${SITE}-${count}`;
      mkdirSync(join(nginx.shelf, shelf));
      mkdirSync(join(place.paths.outbox, 'receipts'));
      writeFileSync(join(place.paths.outbox, 'receipts/one.json'), receipt);
      writeFileSync(join(place.paths.outbox, '.unfinished.tmp'), 'no');
      return {
        shelf: join(nginx.shelf, shelf),
        config: place.config(mirror(), { upstream: `${nginx.url}shelf/${shelf}/` }),
      };
    };

    it('goes upstream once, under names that carry the content', async () => {
      const { shelf, config } = carrying();
      const report = await place.round(config);
      expect(report).toMatchObject({ failures: [], carried: { sent: [name], acknowledged: [] } });
      expect(place.files(shelf)).toEqual({ [name]: receipt.toString() });
      expect((await place.round(config)).carried?.sent).toEqual([]);
      // Sent, but the memory of it was lost: the same bytes under the same name.
      rmSync(join(place.paths.sync, 'sent'), { recursive: true });
      expect((await place.round(config)).carried?.sent).toEqual([name]);
      expect(place.files(shelf)).toEqual({ [name]: receipt.toString() });
      expect(Object.keys(place.files(place.paths.outbox))).toEqual(['.unfinished.tmp', 'receipts/one.json']);
    });

    it('brings acknowledgements back, and nothing that is none', async () => {
      const { shelf, config } = carrying();
      mkdirSync(join(shelf, 'acknowledgements'));
      const answer = join(shelf, `acknowledgements/${digest}.json`);
      writeFileSync(answer, '<html>');
      expect(codes(await place.round(config))).toEqual(['json.syntax']);
      expect(place.files(join(place.paths.inbox, 'acknowledgements'))).toEqual({});
      const envelope = signEnvelope('application/vnd.in-toto+json', Buffer.from('{}'), [
        { keyid: 'hq', sign: () => new Uint8Array(64) },
      ]);
      writeFileSync(answer, envelope);
      expect((await place.round(config)).carried?.acknowledged).toEqual([digest]);
      expect(place.files(join(place.paths.inbox, 'acknowledgements'))).toEqual({
        [`${digest}.json`]: envelope,
      });
      // The daemon removed the receipt: nothing of it is kept here either.
      rmSync(join(place.paths.outbox, 'receipts/one.json'));
      await place.round(config);
      expect(place.files(join(place.paths.inbox, 'acknowledgements'))).toEqual({});
      expect(Object.keys(place.files(place.paths.sync)).filter((path) => path.startsWith('sent'))).toEqual(
        [],
      );
    });

    it('is carried although the mirror is broken, and one bad file keeps no other back', async () => {
      const { config } = carrying();
      writeFileSync(join(place.paths.outbox, 'large'), Buffer.alloc(2_000_000));
      writeFileSync(join(place.paths.outbox, 'odd name'), 'x');
      symlinkSync('/etc/passwd', join(place.paths.outbox, 'a-link'));
      const report = await place.round({ ...config, mirror: `${nginx.url}nothing/` });
      expect(codes(report)).toEqual(['sync.http_status', 'sync.http_status', 'sync.bad_name']);
      expect(report.carried?.sent).toEqual([name]);
    });
  });

  it('writes nothing but inbox and its own directory', async () => {
    const before = place.files();
    await place.round(place.config(mirror(), { upstream: `${nginx.url}shelf/` }));
    const added = Object.keys(place.files()).filter((path) => before[path] !== place.files()[path]);
    expect(added.filter((path) => !/^(inbox|sync)\//.test(path))).toEqual([]);
    expect(added.length).toBeGreaterThan(4);
  });
});
