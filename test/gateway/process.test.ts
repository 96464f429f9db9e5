import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ActionBody, ApiClient, ApiProblem, ApiUnreachable } from '../../daemon/api/client.ts';
import { formatConfig } from '../../daemon/host/config.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { createDevPublisher, publishFrom } from '../../sync/repository/publisher.ts';
import { FakeDaemon } from './fake-daemon.ts';
import { FakeEngine, FakeLog, SITE, testBundle } from './fake-engine.ts';

/* The gateway as the process that it is, against an engine behind real sockets, with a policy that is really signed. */

const MAIN = join(import.meta.dirname, '../../daemon/main.ts');
const root = mkdtempSync(join(tmpdir(), 'hf-gw-'));
const publisher = join(root, 'publisher');
const marks = join(root, 'marks');
/** The tool notes that it ran, then does what its word says. */
const TOOL = `import { appendFileSync } from 'node:fs';
  const word = process.argv[2] ?? '';
  appendFileSync(${JSON.stringify(marks)}, word + '\\n');
  if (word === 'kill') process.kill(process.ppid, 'SIGKILL');
  if (word === 'slow') await new Promise((done) => setTimeout(done, 1_500));
  if (word === 'binary') process.stdout.write(Buffer.from([0xff, 0x00]));
  if (word === 'fail') process.exit(3);
  for await (const chunk of process.stdin) process.stdout.write(chunk);
  process.stdout.write('did ' + word);`;
let policy: ReturnType<typeof testBundle>;
let repository: Record<string, string>;
let rootBytes: Uint8Array;

beforeAll(() => {
  writeFileSync(join(root, 'tool.mjs'), TOOL);
  policy = testBundle({
    tool: {
      connector: 'exec',
      argv: [process.execPath, join(root, 'tool.mjs'), '{{payload.word}}'],
      stdin: ['psk'],
    },
  });
  mkdirSync(publisher);
  rootBytes = createDevPublisher(publisher, { name: SITE, now: Date.now() }).root;
  const { name, version } = policy.bundle.metadata;
  publishFrom(publisher, {
    bundle: { name, version, bytes: policy.bytes },
    site: SITE,
    environments: ['production'],
    now: Date.now(),
  });
  repository = filesUnder(join(publisher, 'repository'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function filesUnder(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const path = (entry: (typeof files)[number]) => join(entry.parentPath, entry.name);
  return Object.fromEntries(
    files.map((entry) => [relative(dir, path(entry)), readFileSync(path(entry)).toString('base64')]),
  );
}

let dir: string;
let daemon: FakeDaemon;
let client: ApiClient;
let gateways: ChildProcess[];
let sites = 0;

beforeEach(async () => {
  sites += 1;
  dir = join(root, `site-${sites}`);
  const paths = sitePaths(dir);
  for (const path of [dir, paths.trust, paths.run, paths.gateway]) mkdirSync(path, { mode: 0o700 });
  writeFileSync(paths.config, formatConfig({ site: SITE, profile: 'dev', operatorActor: null }));
  const engine = new FakeEngine(policy);
  engine.log.now = Date.now();
  engine.repository = repository;
  writeFileSync(join(paths.trust, 'ledger.vkey'), `${engine.log.vkey}\n`);
  writeFileSync(join(paths.trust, 'root.json'), rootBytes);
  daemon = new FakeDaemon(engine, paths.run);
  await daemon.start();
  client = new ApiClient({ socketPath: join(paths.run, 'gateway.sock') });
  gateways = [];
  writeFileSync(marks, '');
});

afterEach(async () => {
  client.close();
  for (const gateway of gateways)
    if (gateway.exitCode === null && gateway.signalCode === null) await stopped(gateway, 'SIGKILL');
  await daemon.stop();
});

interface Gateway extends ChildProcess {
  log: () => string;
}

function start(): Gateway {
  const child = spawn(process.execPath, [MAIN, 'gateway', '--dir', dir], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  gateways.push(child);
  return Object.assign(child, { log: () => text });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((tick) => setTimeout(tick, 10));
}

async function started(): Promise<Gateway> {
  const gateway = start();
  await until(() => gateway.log().includes('"msg":"ready"') || gateway.exitCode !== null);
  expect(gateway.exitCode, gateway.log()).toBeNull();
  return gateway;
}

function stopped(gateway: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  const ended = new Promise<number | null>((done) => gateway.once('exit', (code) => done(code)));
  if (signal !== undefined) gateway.kill(signal);
  return gateway.exitCode === null && gateway.signalCode === null ? ended : Promise.resolve(gateway.exitCode);
}

const action = (word: string, psk?: string): ActionBody => ({
  action: {
    class: 'run_tool',
    intent: 'test',
    target: { type: 'service', id: 'x' },
    payload: { word, ...(psk === undefined ? {} : { psk }) },
  },
  context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'production' },
});
const later = (decision_id: string): ActionBody => ({
  decision_id,
  context: { actor: { id: 'agent:ops-1' } },
});
const runs = () => readFileSync(marks, 'utf8').trim().split('\n').filter(Boolean);
const refused = (call: Promise<unknown>) =>
  call.then(
    () => null,
    (error: unknown) => (error instanceof ApiProblem ? error : Promise.reject(error)),
  );

describe('an action', () => {
  it('runs a real tool and answers with its output', async () => {
    await started();
    const reply = await client.action(action('hello', 'correct horse'));
    expect(reply).toMatchObject({
      decision: { status: 'executed' },
      outcome: { result: 'succeeded', detail: { exit_code: 0 } },
      output: { stdout: '{"psk":"correct horse"}did hello', stderr: '', encoding: 'utf8', truncated: false },
    });
    expect(JSON.stringify(daemon.engine.outcomes)).not.toContain('horse');
  });

  it('answers base64 when the output is not text, and failed when the tool fails', async () => {
    await started();
    expect(await client.action(action('binary', ''))).toMatchObject({ output: { encoding: 'base64' } });
    expect(await client.action(action('fail', ''))).toMatchObject({
      outcome: { result: 'failed', detail: { exit_code: 3 } },
    });
  });

  it('runs once: asking for it again by its decision is refused', async () => {
    await started();
    const { decision } = (await client.action(action('once'))) as unknown as {
      decision: { decision_id: string };
    };
    const problem = await refused(client.action(later(decision.decision_id)));
    expect(problem).toMatchObject({
      status: 409,
      code: 'gateway.already_used',
      body: { outcome: null, output: null },
    });
    expect(runs()).toEqual(['once']);
  });

  it('that is denied or waits says so', async () => {
    await started();
    daemon.engine.bend = { status: 'denied' };
    expect(await refused(client.action(action('no')))).toMatchObject({
      status: 403,
      code: 'decision.denied',
      body: { decision: { status: 'denied' } },
    });
    daemon.engine.bend = { status: 'pending_authority' };
    expect(await client.action(action('no'))).toMatchObject({
      decision: { status: 'pending_authority' },
      outcome: null,
    });
    expect(runs()).toEqual([]);
  });

  it.each([
    ['an unknown member', '{"action":{"class":"run_tool"},"context":{},"extra":1}'],
    [
      'both forms at once',
      `{"action":{},"context":{},"decision_id":"dec_01990000-0000-7000-8000-000000000000"}`,
    ],
    ['a duplicate key', '{"action":{},"action":{},"context":{}}'],
    ['no JSON', 'hello'],
  ])('with %s is a 400', async (_what, body) => {
    await started();
    const status = await new Promise((done, fail) => {
      const sent = httpRequest(
        {
          socketPath: client.socketPath,
          method: 'POST',
          path: '/v1/actions',
          headers: { 'content-type': 'application/json' },
        },
        (response) => {
          response.resume();
          done(response.statusCode);
        },
      );
      sent.on('error', fail);
      sent.end(body);
    });
    expect(status).toBe(400);
    expect(daemon.engine.decisions.size).toBe(0);
  });

  it('goes on when the caller hangs up', async () => {
    await started();
    const gone = new AbortController();
    const call = client.action(action('slow'), { signal: gone.signal });
    await until(() => runs().length === 1);
    gone.abort();
    await expect(call).rejects.toBeInstanceOf(ApiUnreachable);
    await until(() => daemon.engine.outcomes.length === 1);
    expect(daemon.engine.outcomes).toMatchObject([{ result: 'succeeded', detail: { exit_code: 0 } }]);
  });
});

describe('the signed policy', () => {
  it.each([
    [
      'is signed by another publisher',
      () => {
        const other = join(dir, 'other');
        mkdirSync(other);
        createDevPublisher(other, { name: SITE, now: Date.now() });
        publishFrom(other, {
          bundle: { name: 'test', version: 1, bytes: policy.bytes },
          site: SITE,
          environments: ['production'],
          now: Date.now(),
        });
        return filesUnder(join(other, 'repository'));
      },
    ],
    [
      'has a bundle that was changed',
      () =>
        Object.fromEntries(
          Object.entries(repository).map(([name, file]) => [
            name,
            name.startsWith('targets/bundles')
              ? Buffer.from(Buffer.from(file, 'base64').toString().replace('psk', 'key')).toString('base64')
              : file,
          ]),
        ),
    ],
    [
      'misses a file',
      () =>
        Object.fromEntries(Object.entries(repository).filter(([name]) => !name.startsWith('targets/sites'))),
    ],
    ['climbs out of its directory', () => ({ ...repository, '../../../tmp/x': '' })],
    ['is empty', () => ({})],
    ['is not base64', () => ({ ...repository, 'metadata/timestamp.json': '!' })],
  ])('that %s runs nothing', async (what, files) => {
    await started();
    daemon.engine.repository = files();
    const problem = await refused(client.action(action('never')));
    // A stray file beside a sound repository is not read at all.
    if (what.startsWith('climbs')) expect(problem).toBeNull();
    else expect(problem).toMatchObject({ status: 403, code: 'gateway.bundle_unverifiable' });
    expect(runs()).toEqual(what.startsWith('climbs') ? ['never'] : []);
    expect(daemon.engine.redeemed).toHaveLength(runs().length);
    daemon.engine.repository = repository;
    expect(await client.action(action('now'))).toMatchObject({ outcome: { result: 'succeeded' } });
  });
});

describe('without the engine', () => {
  it('the gateway starts, runs nothing, and works once the engine is there', async () => {
    await daemon.stop();
    await started();
    const problem = await refused(client.action(action('early')));
    expect(problem).toMatchObject({ status: 503, code: 'gateway.engine_unreachable' });
    expect(runs()).toEqual([]);
    expect(await client.ready()).toMatchObject({ ready: false });
    await daemon.start();
    expect(await client.action(action('late'))).toMatchObject({ outcome: { result: 'succeeded' } });
    expect(await client.ready()).toEqual({ ready: true, reason: null });
    await until(async () => (await client.status()).recovered === true);
  });
});

describe('kill -9', () => {
  it('while the tool runs: unknown at the next start, and never run again', async () => {
    const first = await started();
    const call = client.action(action('kill'));
    await expect(call).rejects.toBeInstanceOf(ApiUnreachable);
    await stopped(first);
    expect(daemon.engine.outcomes).toEqual([]);
    await started();
    await until(() => daemon.engine.outcomes.length === 1);
    expect(daemon.engine.outcomes).toMatchObject([{ result: 'unknown' }]);
    const [decision] = [...daemon.engine.decisions.values()];
    // Even an engine that forgot everything does not make it run again.
    daemon.engine.redeemed.splice(0);
    daemon.engine.outcomes.splice(0);
    if (decision !== undefined) decision.status = 'authorized';
    const problem = await refused(client.action(later(decision?.decision_id ?? '')));
    expect(problem?.code).toBe('gateway.already_used');
    expect(runs()).toEqual(['kill']);
  });

  it('between redemption and the journal: unknown at the next start, and nothing ran', async () => {
    const first = await started();
    daemon.engine.bend = { afterRedeem: () => void first.kill('SIGKILL') };
    await expect(client.action(action('never'))).rejects.toBeInstanceOf(ApiUnreachable);
    await stopped(first);
    daemon.engine.bend = {};
    await started();
    await until(() => daemon.engine.outcomes.length === 1);
    expect(daemon.engine.outcomes).toMatchObject([{ result: 'unknown' }]);
    expect(runs()).toEqual([]);
  });

  it('before the report was acknowledged: the true outcome is reported at the next start', async () => {
    const first = await started();
    daemon.engine.bend = {
      beforeOutcome: () => {
        first.kill('SIGKILL');
        throw new ApiProblem(503, { code: 'x' });
      },
    };
    await expect(client.action(action('done'))).rejects.toBeInstanceOf(ApiUnreachable);
    await stopped(first);
    daemon.engine.bend = {};
    await started();
    await until(() => daemon.engine.outcomes.length === 1);
    expect(daemon.engine.outcomes).toMatchObject([{ result: 'succeeded', detail: { exit_code: 0 } }]);
  });
});

describe('starting and stopping', () => {
  it('finishes running tools on SIGTERM, reports them, and exits 0', async () => {
    const gateway = await started();
    const call = client.action(action('slow'));
    await until(() => runs().length === 1);
    const ended = stopped(gateway, 'SIGTERM');
    expect(await call).toMatchObject({ outcome: { result: 'succeeded' } });
    expect(await ended).toBe(0);
    expect(daemon.engine.outcomes).toMatchObject([{ result: 'succeeded' }]);
    expect(existsSync(client.socketPath)).toBe(false);
  });

  it('a second gateway of the same site does not start, and leaves the first alone', async () => {
    await started();
    const slow = client.action(action('slow'));
    await until(() => runs().length === 1);
    const second = start();
    expect(await stopped(second)).not.toBe(0);
    expect(second.log()).toContain('already');
    expect(await slow).toMatchObject({ outcome: { result: 'succeeded' } });
    expect(daemon.engine.outcomes).toHaveLength(1);
  });

  it.each([
    ['a damaged journal', () => appendFileSync(join(dir, 'gateway', 'journal'), 'x\n')],
    [
      'a ledger key of another site',
      () => writeFileSync(join(dir, 'trust', 'ledger.vkey'), new FakeLog('other.example/ledger').vkey),
    ],
    ['no pinned root', () => rmSync(join(dir, 'trust', 'root.json'))],
    ['no configuration', () => rmSync(join(dir, 'holdfast.json'))],
  ])('does not start with %s', async (_what, damage) => {
    damage();
    const gateway = start();
    expect(await stopped(gateway)).toBe(2);
    expect(gateway.log().length).toBeGreaterThan(40);
    expect(existsSync(join(dir, 'run', 'gateway.sock'))).toBe(false);
  });
});
