import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_SYNC_LIMITS } from '../../daemon/host/config/sync.ts';
import { PublisherWorld } from '../policy/publisher-world.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { Place } from './place.ts';

/* A mirror with the right certificate and the worst intentions, or a very bad line. */

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const base = mkdtempSync(join(tmpdir(), 'hf-hostile-'));
let certificates: Certificates;
let world: PublisherWorld;
let server: Server;
let url: string;
let place: Place;
let handler: Handler;
let requests: { url: string; range: string | undefined }[];
let count = 0;

beforeAll(async () => {
  certificates = makeCertificates(base, 'hq');
  world = new PublisherWorld(base);
  world.publish(1);
  const [cert, key] = [readFileSync(certificates.server.certificate), readFileSync(certificates.server.key)];
  server = createServer(
    { cert, key, ca: readFileSync(certificates.ca), requestCert: true },
    (request, response) => {
      requests.push({ url: request.url ?? '', range: request.headers.range });
      handler(request, response);
    },
  );
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  url = `https://localhost:${typeof address === 'object' ? address?.port : 0}/`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  rmSync(base, { recursive: true, force: true });
});
beforeEach(() => {
  count += 1;
  place = new Place(join(base, `site-${count}`), world.root, certificates);
  handler = honest;
  requests = [];
});

/** The file as published, whole or from where it is asked for. */
const honest: Handler = (request, response) => {
  const bytes = published(request);
  if (bytes === null) {
    response.writeHead(404).end();
    return;
  }
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const whole = from === 0 || request.headers['if-range'] !== etagOf(bytes);
  if (whole) response.writeHead(200, { etag: etagOf(bytes), 'content-length': bytes.length }).end(bytes);
  else
    response
      .writeHead(206, {
        etag: etagOf(bytes),
        'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
      })
      .end(bytes.subarray(from));
};

function published(request: IncomingMessage): Buffer | null {
  try {
    return readFileSync(world.path((request.url ?? '').slice(1)));
  } catch {
    return null;
  }
}
const etagOf = (bytes: Buffer) => `"${bytes.length}-${bytes.subarray(-40).toString('hex')}"`;

/** Does `wicked` where the URL matches, and is honest otherwise. */
const where =
  (pattern: RegExp, wicked: Handler): Handler =>
  (request, response) =>
    pattern.test(request.url ?? '') ? wicked(request, response) : honest(request, response);

const run = (limits = {}) =>
  place.round(place.config(url, { limits: { ...DEFAULT_SYNC_LIMITS, ...limits } }));
const codeOf = async (limits = {}) => (await run(limits)).failures.map(({ code }) => code).join();
const inbox = () => place.files(place.paths.inbox);
const bytesOf = (files: Record<string, string>) =>
  Object.values(files).reduce((sum, text) => sum + text.length, 0);

describe('a connection that is cut', () => {
  it.each([/snapshot/, /targets\.json/, /sites\//, /bundles\//])('at %s is gone on with', async (pattern) => {
    handler = where(pattern, (request, response) => {
      const bytes = published(request) ?? Buffer.alloc(0);
      response.writeHead(200, { etag: etagOf(bytes), 'content-length': bytes.length });
      response.write(bytes.subarray(0, 100), () => response.destroy());
    });
    expect(await codeOf()).toBe('sync.unreachable');
    expect(Object.keys(inbox()).every((path) => path.startsWith('mirror.partial/'))).toBe(true);
    requests = [];
    handler = honest;
    expect(await codeOf()).toBe('');
    expect(requests.filter(({ range }) => range === 'bytes=100-').map(({ url }) => url)).toEqual([
      expect.stringMatching(pattern),
    ]);
    await world.verify({ repositoryDir: join(place.paths.inbox, 'mirror') });
    expect(Object.keys(inbox()).filter((path) => /part|etag/.test(path))).toEqual([]);
  });

  it('is begun anew when the file changed meanwhile, or has no strong ETag', async () => {
    for (const etag of ['"another"', 'W/"weak"', undefined]) {
      handler = where(/bundles\//, (request, response) => {
        const bytes = Buffer.alloc((published(request) ?? []).length, 'x');
        response.writeHead(200, { ...(etag === undefined ? {} : { etag }), 'content-length': bytes.length });
        response.write(bytes.subarray(0, 100), () => response.destroy());
      });
      expect(await codeOf()).toBe('sync.unreachable');
      handler = honest;
      expect(await codeOf()).toBe('');
      await world.verify({ repositoryDir: join(place.paths.inbox, 'mirror') });
      rmSync(join(place.paths.inbox, 'mirror'), { recursive: true });
    }
  });

  it('is not patched with a part that nobody asked for', async () => {
    handler = where(/bundles\//, (_request, response) =>
      response.writeHead(206, { 'content-range': 'bytes 5-9/10' }).end('wrong'),
    );
    expect(await codeOf()).toBe('sync.http_status');
  });
});

describe('a mirror that will not end', () => {
  it('with an announced size is not begun, and without one is cut off', async () => {
    handler = where(/timestamp/, (_request, response) =>
      response.writeHead(200, { 'content-length': 1e9 }).write('{'),
    );
    expect(await codeOf()).toBe('sync.file_too_large');
    handler = where(/timestamp/, (_request, response) => {
      const more = (): boolean => response.destroyed || (response.write(Buffer.alloc(65_536, ' ')) && more());
      response.on('drain', more);
      more();
    });
    expect(await codeOf({ file_bytes: 1_000_000 })).toBe('sync.file_too_large');
    expect(bytesOf(inbox())).toBe(0);
  });

  it('at a target is cut off at the length that was signed', async () => {
    handler = where(/bundles\//, (request, response) =>
      response.end(Buffer.concat([published(request) ?? Buffer.alloc(0), Buffer.alloc(1)])),
    );
    expect(await codeOf()).toBe('sync.file_too_large');
  });

  it('with slow bytes runs into the time limit, per file and in total, and what came is kept', async () => {
    const stalled = where(/snapshot/, (request, response) => {
      const bytes = published(request) ?? Buffer.alloc(0);
      response.writeHead(200, { etag: etagOf(bytes), 'content-length': bytes.length });
      response.write(bytes.subarray(0, 10));
    });
    handler = stalled;
    expect(await codeOf({ file_seconds: 1 })).toBe('sync.too_slow');
    expect(await codeOf({ total_seconds: 1 })).toBe('sync.too_slow');
    expect(inbox()['mirror.partial/metadata/2.snapshot.json.part']).toHaveLength(10);
    handler = (_request, _response) => {};
    expect(await codeOf({ file_seconds: 1 })).toBe('sync.too_slow');
  });

  it('with ever more roots runs out of files, then of bytes', async () => {
    const root = world.root;
    handler = where(/root\.json/, (_request, response) => response.end(root));
    expect(await codeOf({ files: 20 })).toBe('sync.too_many_files');
    expect(await codeOf({ total_bytes: root.length * 3 })).toBe('sync.too_much');
    for (let round = 0; round < 3; round++) await run({ files: 20, total_bytes: root.length * 3 });
    expect(bytesOf(inbox())).toBeLessThanOrEqual(root.length * 6);
  });

  it('ends at once when it is time to stop', async () => {
    const stop = new AbortController();
    handler = () => stop.abort();
    const report = await place.round(place.config(url), stop.signal);
    expect(report.failures.map(({ code }) => code)).toEqual(['sync.stopped']);
  });
});

describe('what is no repository', () => {
  it.each([
    ['timestamp', '<html>login</html>', 'sync.not_a_repository'],
    [
      'timestamp',
      '{"signed":{"meta":{"snapshot.json":{"version":"../../../etc/passwd"}}}}',
      'sync.not_a_repository',
    ],
    ['timestamp', '{"signed":{"meta":{"snapshot.json":{"version":1e9}}}}', 'sync.http_status'],
    ['timestamp', '['.repeat(100_000), 'sync.not_a_repository'],
    ['snapshot', '{"signed":{"meta":{}}}', 'sync.not_a_repository'],
    ['targets\\.json', '{"signed":{"targets":{}}}', 'sync.not_a_repository'],
    [
      'targets\\.json',
      '{"signed":{"targets":{},"delegations":{"roles":[{"name":"../../x","paths":["sites/outpost-7.example.json"]}]}}}',
      'sync.not_a_repository',
    ],
    [
      'targets\\.json',
      '{"signed":{"targets":{"sites/outpost-7.example.json":{"length":1,"hashes":{"sha256":"../../x"}}}}}',
      'sync.not_a_repository',
    ],
  ])('%s: %s', async (file, text, code) => {
    handler = where(new RegExp(file), (_request, response) => response.end(text));
    expect(await codeOf()).toBe(code);
    expect(
      Object.keys(place.files()).filter((path) => !/^(inbox\/mirror\.partial|trust)\//.test(path)),
    ).toEqual([]);
  });

  it('a target that is not what its name says is dropped, and the mirror of before stays', async () => {
    await run();
    const before = inbox();
    world.publish(2);
    handler = where(/sites\//, (request, response) =>
      response.end(Buffer.alloc((published(request) ?? []).length, 'x')),
    );
    expect(await codeOf()).toBe('sync.damaged');
    expect(inbox()).toMatchObject(before);
    handler = honest;
    expect(await codeOf()).toBe('');
  });

  it('compressed, it is not taken', async () => {
    handler = (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    expect(await codeOf()).toBe('sync.encoded');
  });
});
