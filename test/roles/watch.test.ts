import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CanaryReport, Incident } from '../../daemon/api/client.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, type Role, until, World } from '../world.ts';

const PATCHED = join(ROOT, 'test/transcripts/patched-gateway.ts');

/** The policy of the fault tests, with a must-deny class whose tool would leave a trap file, and one pinned tool. */
function policy(): string {
  const dir = mkdtempSync(join(tmpdir(), 'hf-watch-'));
  cpSync(join(ROOT, 'test/crash/policy'), dir, { recursive: true });
  const target = 'target: { type: mark, id_pattern: "[a-z0-9-]{1,60}" }\n  base_risk: 0.1';
  appendFileSync(
    join(dir, 'actions.yaml'),
    `\nspring:\n  description: Nobody may.\n  ${target}\n  tool: trap\n`,
  );
  appendFileSync(
    join(dir, 'actions.yaml'),
    `\npinned_mark:\n  description: Pinned.\n  ${target}\n  tool: pinned\n`,
  );
  appendFileSync(
    join(dir, 'gates.yaml'),
    '\n- { id: sprung, classes: [spring], condition: "false", otherwise: fail, reason: It is a test. }\n',
  );
  const digest = sha256Hex(readFileSync('/usr/bin/touch'));
  appendFileSync(
    join(dir, 'tools.yaml'),
    '\ntrap:\n  connector: exec\n  argv: [/usr/bin/touch, WORK/trap]\n',
  );
  appendFileSync(
    join(dir, 'tools.yaml'),
    `\npinned:\n  connector: exec\n  argv: [WORK/pinned, WORK/touched]\n  sha256: "${digest}"\n`,
  );
  writeFileSync(
    join(dir, 'incidents.yaml'),
    `reporter_roles: [L2]
resume_roles: [L2]
canaries:
  - { class: spring, target: { type: mark, id: trap }, trap: WORK/trap }
`,
  );
  return dir;
}

describe('the self-test and the gateway’s own watch, with real processes', () => {
  let world: World;
  let source: string;
  let daemon: Role;
  const pinnedFile = () => join(world.work, 'pinned');
  const trap = () => join(world.work, 'trap');

  beforeAll(async () => {
    source = policy();
    world = await World.make(source);
    copyFileSync('/usr/bin/touch', pinnedFile());
    daemon = await world.daemon();
  });
  afterAll(async () => {
    await world?.close();
    rmSync(source, { recursive: true, force: true });
  });

  const canary = (): Promise<CanaryReport> => world.client('operator').runCanary();
  const open = async (): Promise<Incident[]> => (await world.client('operator').incidents()).incidents;
  const degraded = async () =>
    ((await world.client('operator').status()).degraded as { component: string; cause: string }[]).filter(
      ({ component }) => component === 'gateway',
    );
  const person = (name: string) => join(world.paths.publisher, 'people', name);
  async function resumeAll(): Promise<void> {
    for (const { incident_id: id } of await open()) {
      const ran = await world.holdfast(
        'incident',
        'resume',
        id,
        '--key',
        person('warden'),
        '--reason',
        'put right',
        '--yes',
      );
      expect(ran.code).toBe(0);
    }
  }

  /** Runs the patched gateway while `body` does. */
  async function patched(mode: string, body: () => Promise<void>): Promise<void> {
    const child = spawn(process.execPath, [PATCHED, world.dir, mode], { stdio: 'ignore' });
    try {
      const client = world.newClient('gateway', 2_000);
      await until(
        'the patched gateway',
        async () => (await client.ready().catch(() => null))?.ready === true,
      );
      client.close();
      await body();
    } finally {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      rmSync(world.socket('gateway'), { force: true });
    }
  }

  it('a gateway that is not there is degraded, and no incident', async () => {
    expect(await canary()).toMatchObject({ verdict: 'unanswered', incident_id: null });
    expect(await degraded()).toMatchObject([{ cause: expect.stringContaining('not answered') }]);
    expect(await open()).toEqual([]);
    expect((await world.holdfast('incident', 'canary')).code).toBe(5);
  });

  it('the real gateway passes, again and again, whichever action was drawn', async () => {
    const gateway = await world.gateway();
    for (let n = 0; n < 12; n++) expect(await canary()).toMatchObject({ verdict: 'passed' });
    expect(await degraded()).toEqual([]);
    expect(existsSync(trap())).toBe(false);
    await gateway.kill('SIGTERM');
  });

  it('one that allows is caught at once', async () => {
    await patched('allow', async () => {
      expect(await canary()).toMatchObject({ verdict: 'failed', why: expect.stringContaining('ran') });
    });
    const incidents = await open();
    expect(incidents).toMatchObject([{ cause: 'canary_failed', halt: { scope: 'site' } }]);
    const denied = await world.client('request').createDecision(ask('mark', 'halted'));
    expect(denied.status).toBe('denied');
    rmSync(trap(), { force: true });
    await resumeAll();
  });

  it('one that runs the tool and says "denied" is caught by its trap', async () => {
    await patched('lie', async () => {
      let report = await canary();
      for (let n = 0; n < 40 && report.verdict === 'passed'; n++) report = await canary();
      expect(report).toMatchObject({ verdict: 'failed', why: expect.stringContaining('trap') });
    });
    rmSync(trap(), { force: true });
    await resumeAll();
  });

  it('one that asks nobody and makes denials up is caught by the ledger', async () => {
    await patched('invent', async () => {
      expect(await canary()).toMatchObject({
        verdict: 'failed',
        why: expect.stringContaining('did not ask'),
      });
    });
    await resumeAll();
  });

  it('a replaced tool is not run, and halts what uses it', async () => {
    const gateway = await world.gateway();
    const act = (mark: string) =>
      world
        .client('gateway')
        .action(ask('pinned_mark', mark))
        .catch((error: { body: JsonObject }) => error.body);
    expect(await act('before')).toMatchObject({ outcome: { result: 'succeeded' } });
    writeFileSync(pinnedFile(), '#!/bin/sh\necho replaced >> "$1"\n', { mode: 0o755 });
    rmSync(join(world.work, 'touched'), { force: true });
    expect(await act('after')).toMatchObject({ code: 'gateway.tool_changed' });
    expect(existsSync(join(world.work, 'touched'))).toBe(false);
    await until('the incident', async () => (await open()).length > 0);
    expect(await open()).toMatchObject([{ cause: 'tool_changed', halt: { scope: 'tool', tool: 'pinned' } }]);
    expect(await act('halted')).toMatchObject({ code: 'decision.denied' });
    const other = await world.client('request').createDecision(ask('mark', 'other-tool'));
    expect(other.status).toBe('authorized');
    copyFileSync('/usr/bin/touch', pinnedFile());
    await resumeAll();
    expect(await act('again')).toMatchObject({ outcome: { result: 'succeeded' } });
    await gateway.kill('SIGTERM');
  });

  it('only who has the role is heard on the sockets', async () => {
    const by = (id: string) =>
      world
        .client('request')
        .openIncident({ actor: { id }, target: { type: 'mark', id: 'x' }, detail: 'seen' });
    await expect(by('agent:ops-1')).rejects.toMatchObject({ status: 403, code: 'incident.not_reporter' });
    const audience = { audience: 'gateway', cause: 'gateway_report', detail: 'x' } as const;
    await expect(world.client('request').openIncident(audience)).rejects.toMatchObject({
      code: 'incident.not_reporter',
    });
    expect(await by('operator')).toMatchObject({ state: 'open' });
    const listed = await world.holdfast('incident', 'list');
    expect(listed.stdout).toContain('mark:x');
    await resumeAll();
  });

  it('says at the end what is missing from the record: nothing, and every halt is in it', async () => {
    expect((await daemon.kill('SIGTERM')).code).toBe(0);
    const audit = await world.json('ledger', 'audit');
    expect(audit).toMatchObject({ code: 0, open: false });
    expect((audit.counts as JsonObject)['incident.cleared']).toBe(5);
    const { entries } = checkLedger(world.paths, world.trust());
    expect(entries.filter(({ type }) => type === 'incident.opened')).toHaveLength(5);
  });
});
