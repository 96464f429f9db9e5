import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bundle, BundleTool } from '../../daemon/core/bundle.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { Alarm } from '../../daemon/gateway/alarm.ts';
import { enforce } from '../../daemon/gateway/enforce.ts';
import { IntegrityWatch, readConfiguration } from '../../daemon/gateway/integrity.ts';
import { Programs } from '../../daemon/gateway/programs.ts';
import { openKnownKeys } from '../../daemon/gateway/trust.ts';
import { formatConfig } from '../../daemon/host/config.ts';
import { createLogger } from '../../daemon/host/log.ts';
import { newSigningKey } from '../../daemon/host/signer.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { FakeEngine, testBundle, unreachable } from './fake-engine.ts';
import { makeWorld, request, type World } from './world.ts';

const log = createLogger('gateway', 'silent', {});
const ORIGIN = 'outpost-7.example/ledger';
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-integrity-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const pinned = (path: string, content: string): BundleTool => ({
  connector: 'exec',
  argv: [path],
  sha256: sha256Hex(content),
});

describe('programs', () => {
  const path = () => join(dir, 'tool');

  it('are what policy pins, or not', () => {
    const programs = new Programs();
    writeFileSync(path(), 'one');
    expect(programs.check('t', pinned(path(), 'one'))).toBeNull();
    writeFileSync(path(), 'two');
    expect(programs.check('t', pinned(path(), 'one'))).toEqual({
      tool: 't',
      path: path(),
      expected: sha256Hex('one'),
      found: sha256Hex('two'),
    });
  });

  it('are not looked at without a pinned digest', () => {
    const programs = new Programs();
    expect(programs.check('t', { connector: 'exec', argv: [join(dir, 'none')] })).toBeNull();
    const http: BundleTool = { connector: 'http', address: 'unix:/run/x.sock', method: 'GET', path: '/' };
    expect(programs.check('t', http)).toBeNull();
  });

  it('that are missing, or no files, are changed', () => {
    const programs = new Programs();
    expect(programs.check('t', pinned(path(), 'one'))).toMatchObject({ found: null });
    mkdirSync(path());
    expect(programs.check('t', pinned(path(), 'one'))).toMatchObject({ found: null });
  });

  it('are followed through links to what runs', () => {
    const programs = new Programs();
    writeFileSync(join(dir, 'real'), 'one');
    symlinkSync(join(dir, 'real'), path());
    expect(programs.check('t', pinned(path(), 'one'))).toBeNull();
    writeFileSync(join(dir, 'real'), 'two');
    expect(programs.check('t', pinned(path(), 'one'))).not.toBeNull();
  });

  it('of the same size and with their old date put back are found all the same', () => {
    const programs = new Programs();
    writeFileSync(path(), 'one');
    const then = new Date(1_700_000_000_000);
    utimesSync(path(), then, then);
    expect(programs.check('t', pinned(path(), 'one'))).toBeNull();
    writeFileSync(path(), 'two');
    utimesSync(path(), then, then);
    expect(programs.check('t', pinned(path(), 'one'))).not.toBeNull();
  });

  it('of all bundles are read anew by a full look', () => {
    const programs = new Programs();
    writeFileSync(path(), 'one');
    const bundle = { tools: { a: pinned(path(), 'one'), b: pinned(path(), 'other') } } as unknown as Bundle;
    expect(programs.checkAll([bundle])).toMatchObject([{ tool: 'b' }]);
  });
});

describe('an action whose tool was replaced', () => {
  let world: World;
  const programFile = () => join(dir, 'program');

  beforeEach(async () => {
    copyFileSync('/usr/bin/true', programFile());
    world = await makeWorld();
    // The permit's bundle pins the program, word for word as policy would.
    const tool = world.engine.policy.bundle.tools.tool as Extract<BundleTool, { connector: 'exec' }>;
    tool.argv[0] = programFile();
    tool.sha256 = sha256Hex(readFileSync(programFile()));
  });
  afterEach(() => world.close());

  it('runs while the program is the pinned one', async () => {
    const { refused } = await enforce(world.gate, request());
    expect(refused).toBeNull();
    expect(world.calls).toHaveLength(1);
    expect(world.engine.findings).toEqual([]);
  });

  it('is refused before its permit is spent, and reported', async () => {
    writeFileSync(programFile(), '#!/bin/sh\nexfiltrate');
    const { refused, run } = await enforce(world.gate, request());
    expect(run).toBeNull();
    expect(refused).toMatchObject({ refused: 'gateway.tool_changed', status: 503 });
    expect(refused?.message).toContain('not started');
    expect(world.calls).toEqual([]);
    expect(world.engine.redeemed).toEqual([]);
    expect(world.engine.findings).toMatchObject([{ cause: 'tool_changed', tool: 'tool' }]);
  });
});

describe('an engine that gives out what does not verify', () => {
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
  });
  afterEach(() => world.close());

  it.each([
    [
      'a permit of another log',
      'gateway.permit_unverifiable',
      { permitProof: (proof: string) => proof.replace(/^extra ./m, 'extra A') },
    ],
    [
      'another call',
      'gateway.call_differs',
      { permit: (permit: never) => ({ ...(permit as object), tool: 'other' }) as never },
    ],
    ['a redemption that is none', 'gateway.redemption_unverifiable', { redemptionProof: () => 'nothing' }],
  ])('is reported: %s', async (_what, code, bend) => {
    world.engine.bend = bend as FakeEngine['bend'];
    const { refused } = await enforce(world.gate, request());
    expect(refused?.refused).toBe(code);
    expect(world.engine.findings).toMatchObject([{ cause: 'gateway_report', evidence: { code } }]);
  });

  it('is not reported for what callers alone can bring about', async () => {
    const { decision } = await enforce(world.gate, request());
    await enforce(world.gate, {
      decision_id: decision?.decision_id ?? '',
      context: { actor: { id: 'agent:ops-2', role: null } },
    });
    expect(world.engine.findings).toEqual([]);
  });
});

describe('the watch over configuration and tools', () => {
  const engine = () => new FakeEngine(testBundle({}));

  function site() {
    const paths = sitePaths(dir);
    mkdirSync(paths.trust, { recursive: true });
    writeFileSync(
      paths.config,
      formatConfig({ site: 'outpost-7.example', profile: 'dev', operatorActor: null }),
    );
    writeFileSync(join(paths.trust, 'root.json'), '{}');
    mkdirSync(paths.gateway, { recursive: true });
    writeFileSync(join(paths.trust, 'ledger.vkey'), `${newSigningKey(ORIGIN).vkey}\n`);
    return paths;
  }

  function watching(inForce: () => Promise<readonly Bundle[]> = async () => []) {
    const paths = site();
    const port = engine();
    const alarm = new Alarm(port, log);
    const keys = openKnownKeys(paths);
    const watch = new IntegrityWatch({
      started: readConfiguration(paths, keys),
      read: () => readConfiguration(paths, keys),
      programs: new Programs(),
      inForce,
      alarm,
      log,
    });
    return { paths, port, alarm, watch };
  }

  it('finds nothing where nothing changed, and minds no setting of other roles', async () => {
    const { paths, port, watch } = watching();
    await watch.round();
    const config = JSON.parse(readFileSync(paths.config, 'utf8')) as object;
    writeFileSync(paths.config, JSON.stringify({ ...config, log: { level: 'debug' } }));
    await watch.round();
    expect(port.findings).toEqual([]);
  });

  it.each([
    ['the path of the tools', 'holdfast.json', (text: string) => text.replace('/usr/sbin:', '/tmp/evil:')],
    ['a file that is no configuration any more', 'holdfast.json', () => '{'],
    ['another policy root', 'trust/root.json', () => '{"signed":{}}'],
    ['another ledger key', 'trust/ledger.vkey', () => `${newSigningKey(ORIGIN).vkey}\n`],
  ])('finds %s', async (_what, file, change) => {
    const { port, watch } = watching();
    const path = join(dir, file);
    const before = readFileSync(path, 'utf8');
    writeFileSync(path, change(before));
    await watch.round();
    expect(port.findings).toMatchObject([{ cause: 'configuration_changed', evidence: { path: file } }]);
    writeFileSync(path, before);
    await watch.round();
    expect(port.findings).toHaveLength(1);
  });

  it('finds a missing trust file', async () => {
    const { port, watch } = watching();
    rmSync(join(dir, 'trust/ledger.vkey'));
    await watch.round();
    expect(port.findings).toMatchObject([{ evidence: { path: 'trust/ledger.vkey', found: null } }]);
  });

  it('finds replaced programs of the policy in force, and says so in every round', async () => {
    writeFileSync(join(dir, 'tool'), 'two');
    const bundle = { tools: { mover: pinned(join(dir, 'tool'), 'one') } } as unknown as Bundle;
    const { port, watch } = watching(async () => [bundle]);
    await watch.round();
    await watch.round();
    expect(port.findings).toMatchObject([{ tool: 'mover' }, { tool: 'mover' }]);
  });

  it('tells again what an engine that did not answer has not heard', async () => {
    const { paths, port, alarm, watch } = watching();
    rmSync(join(paths.trust, 'root.json'));
    port.bend.beforeReport = () => {
      throw unreachable(false);
    };
    await watch.round();
    await watch.round();
    expect(alarm.backlog).toBe(1);
    port.bend = {};
    await alarm.retry();
    expect(alarm.backlog).toBe(0);
    expect(port.findings).toHaveLength(1);
  });

  it('outlives a policy that cannot be had', async () => {
    const { port, watch } = watching(async () => {
      throw new Error('no update');
    });
    await watch.round();
    expect(port.findings).toEqual([]);
  });
});
