import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSite } from '../demo/actions.ts';
import { ask, later } from '../demo/asking.ts';
import { Narrator } from '../demo/narrator.ts';
import { SITE, Stage } from '../demo/stage.ts';

/* Gateway and daemon together, as real processes at a real site, where one of them is not what the other expects. */

class Silent extends Narrator {
  override say(): void {}
}

let stage: Stage;
beforeAll(async () => {
  stage = new Stage();
  await makeSite(stage, new Silent());
  writeFileSync(join(stage.work, 'telemetry/pump-1.log'), 'one\ntwo\n');
});
afterAll(async () => {
  expect(await stage.clear()).toEqual([]);
});

const rung = () => readFileSync(join(stage.work, 'network.log'), 'utf8').split('/tools/siren').length - 1;

describe('a decision outlives the policy that it was made under', () => {
  it('runs under its own bundle after a newer one came into force everywhere', async () => {
    const asked = await stage.act(ask('restart_service', 'service:relay-2', 'test', {}));
    const id = asked.decision?.decision_id ?? '';
    const source = join(stage.paths.publisher, 'policy');
    const metadata = readFileSync(join(source, 'metadata.yaml'), 'utf8');
    writeFileSync(join(source, 'metadata.yaml'), metadata.replace(/^version: 1$/m, 'version: 2'));
    const tools = readFileSync(join(source, 'tools.yaml'), 'utf8');
    writeFileSync(join(source, 'tools.yaml'), tools.replace('/usr/bin/tail', '/usr/bin/head'));
    const published = await stage.holdfast('repo', 'publish', stage.paths.publisher, source, '--site', SITE);
    expect(published.stderr + published.code).toBe('0');
    const imported = await stage.holdfast('import', join(stage.paths.publisher, 'repository'), '--json');
    expect(imported.stderr + imported.code).toBe('0');

    const fresh = await stage.act(ask('read_telemetry', 'sensor:pump-1', 'test', { lines: 1 }));
    expect(fresh.output?.stdout).toBe('one\n');
    expect((await stage.approve(id, 'alice', 'test')).stderr).not.toContain('refused');
    const done = await stage.act(later(id));
    expect(done.problem).toBeNull();
    expect(done.outcome?.result).toBe('succeeded');
    expect(done.decision?.policy_version).toBe('field-site@1');
  });
});

describe('a daemon that is killed while a tool runs', () => {
  it('gets the outcome when it is back', async () => {
    const before = rung();
    const call = stage.act(ask('agent_tool_call', 'tool:siren', 'test', { arguments: ['1'] }));
    await stage.until('the tool to run', async () => rung() === before + 1);
    await stage.end('daemon', 'SIGKILL');
    await stage.silence();
    const done = await call;
    expect(done.outcome).toMatchObject({ result: 'succeeded' });
    const id = done.decision?.decision_id ?? '';
    await stage.start('daemon');
    await stage.until(
      'the outcome',
      async () => (await stage.requests.getDecision(id)).status === 'executed',
    );
    expect((await stage.requests.getDecision(id)).permit_state).toBe('succeeded');
    expect(rung()).toBe(before + 1);
    expect(await stage.redeem.openPermits('gateway')).toEqual([]);
  });
});

describe('a permit for another audience or by another road', () => {
  it('is not redeemed on a socket that does not offer it', async () => {
    const { permit } = await stage.requests.createDecision(
      ask('read_telemetry', 'sensor:pump-1', 'test', {}),
    );
    const body = { audience: 'gateway', action_digest: permit?.action_digest ?? '' };
    for (const client of [stage.requests, stage.operator, stage.gateway]) {
      await expect(client.redeem(permit?.id ?? '', body)).rejects.toMatchObject({ status: 404 });
    }
    await expect(stage.redeem.redeem(permit?.id ?? '', { ...body, audience: 'robot' })).rejects.toMatchObject(
      {
        code: 'permit.wrong_audience',
      },
    );
  });

  it('that somebody else redeemed first does not run', async () => {
    const decision = await stage.requests.createDecision(ask('read_telemetry', 'sensor:pump-1', 'test', {}));
    await stage.redeem.redeem(decision.permit?.id ?? '', {
      audience: 'gateway',
      action_digest: decision.action_digest,
    });
    const done = await stage.act(later(decision.decision_id));
    expect(done.outcome).toBeNull();
    expect(done.problem?.code).toBe('gateway.redemption_refused');
  });
});
