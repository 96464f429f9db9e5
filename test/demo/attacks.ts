import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiProblem } from '../../daemon/api/client.ts';
import { actionDigest } from '../../daemon/formats/permit.ts';
import { ask, later, mustBeRefused, mustRun } from './asking.ts';
import { must, type Narrator } from './narrator.ts';
import type { Stage } from './stage.ts';

/* What somebody would try who has got hold of a permit. */

async function refusalOf(call: Promise<unknown>): Promise<{ problem: ApiProblem | null; ms: number }> {
  const started = performance.now();
  const problem = await call.then(
    () => null,
    (error: unknown) => (error instanceof ApiProblem ? error : Promise.reject(error)),
  );
  return { problem, ms: performance.now() - started };
}

export async function replay(stage: Stage, tell: Narrator, decisionId: string): Promise<void> {
  tell.step(
    'A permit runs once',
    'The restart of step 3 again, under the same permit: the gateway says no, and so does the engine.',
  );
  const again = await stage.act(later(decisionId));
  mustBeRefused(tell, again.problem, 'gateway.already_used', again.ms);
  must(again.outcome === null, 'nothing may run under a used permit');
  const permit = again.decision?.permit;
  must(permit !== undefined, 'the answer should still show the permit');
  const direct = await refusalOf(
    stage.redeem.redeem(permit.id, { audience: 'gateway', action_digest: permit.action_digest }),
  );
  mustBeRefused(tell, direct.problem, ['permit.already_redeemed', 'decision.wrong_state'], direct.ms);
}

export async function changedAction(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'A changed action does not run under an old permit',
    'The permit binds the digest of the action, and every byte of it is proved.',
  );
  const asked = ask('read_telemetry', 'sensor:pump-1', 'evening check', { lines: 1 });
  const decision = await stage.requests.createDecision(asked);
  const { permit } = decision;
  must(permit !== undefined, 'the read should be allowed');
  const changed = actionDigest({ ...decision.action, target: { type: 'sensor', id: 'pump-9' } });
  const swapped = await refusalOf(
    stage.redeem.redeem(permit.id, { audience: 'gateway', action_digest: changed }),
  );
  mustBeRefused(tell, swapped.problem, 'permit.wrong_digest', swapped.ms);

  const away = join(stage.dir, 'elsewhere');
  mkdirSync(away);
  copyFileSync(join(stage.paths.trust, 'tlog-policy'), join(away, 'tlog-policy'));
  const genuine = join(away, 'genuine.permit');
  const forged = join(away, 'forged.permit');
  writeFileSync(genuine, permit.proof);
  writeFileSync(forged, forge(permit.proof));
  const verify = (file: string) =>
    stage.holdfast('permit', 'verify', file, '--policy', join(away, 'tlog-policy'));
  const good = await verify(genuine);
  must(good.code === 0, `the genuine permit file should verify: ${good.stdout}${good.stderr}`);
  tell.line(
    'file',
    'holdfast permit verify genuine.permit --policy tlog-policy: genuine, with these two files alone',
    good.ms,
  );
  const bad = await verify(forged);
  must(bad.code === 10, `the changed permit file must not verify: ${bad.stdout}${bad.stderr}`);
  tell.good('REFUSED', 'the same with pump-1 changed to pump-9 in it: not genuine, exit code 10', bad.ms);
  mustRun(tell, await stage.act(later(decision.decision_id)));
}

/** The permit file with another target in its entry. */
function forge(proof: string): string {
  return proof.replace(/^extra (.+)$/m, (_, entry: string) => {
    const changed = Buffer.from(entry, 'base64').toString('utf8').replaceAll('pump-1', 'pump-9');
    return `extra ${Buffer.from(changed).toString('base64')}`;
  });
}

export async function flippedByte(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'A flipped byte in a copy of the ledger is found',
    'Anyone with the public trust file can check a copy, anywhere.',
  );
  const trust = join(stage.dir, 'trust.json');
  must((await stage.holdfast('site', 'export-trust', trust)).code === 0, 'site export-trust should work');
  const copy = join(stage.dir, 'copy.sqlite');
  copyFileSync(stage.paths.ledger, copy);
  const verify = () => stage.holdfast('ledger', 'verify', '--ledger', copy, '--trust', trust, '--json');
  const whole = await verify();
  must(whole.code === 0, `the untouched copy should verify: ${whole.stdout}${whole.stderr}`);
  tell.line('copy', 'holdfast ledger verify --ledger copy.sqlite --trust trust.json: intact', whole.ms);
  const bytes = readFileSync(copy);
  const at = bytes.indexOf('recover the telemetry relay');
  must(at > 0, 'the intent of step 3 should be in the copy');
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(copy, bytes);
  const flipped = await verify();
  must(flipped.code === 10, `the flipped byte should be found: exit ${flipped.code} ${flipped.stdout}`);
  const { findings } = JSON.parse(flipped.stdout) as { findings: { index?: number; detail: string }[] };
  tell.good(
    'TAMPERED',
    `byte ${at} flipped: entry ${findings[0]?.index ?? '?'}: ${findings[0]?.detail ?? ''}; exit code 10`,
    flipped.ms,
  );
}
