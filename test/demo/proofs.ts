import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DecisionReply } from '../../daemon/api/client.ts';
import { verifyPermit } from '../../daemon/formats/permit.ts';
import { parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { must, type Narrator } from './narrator.ts';
import type { Stage } from './stage.ts';

/** Every promise of the load, checked as an outsider would: permit file and tlog-policy, nothing else. */
function verifyPermits(stage: Stage, tell: Narrator, decisions: readonly DecisionReply[]): void {
  const trust = { policy: parsePolicy(readFileSync(join(stage.paths.trust, 'tlog-policy'), 'utf8')) };
  const started = performance.now();
  for (const { decision_id, permit } of decisions) {
    must(permit !== undefined, `${decision_id} should carry a permit`);
    const verified = verifyPermit(permit.proof, trust);
    must(verified.permit.decision_id === decision_id, `the permit of ${decision_id} proves something else`);
  }
  const ms = performance.now() - started;
  tell.good(
    'GENUINE',
    `${decisions.length} permits of the load verify offline, each by signature and inclusion proof`,
    ms,
  );
}

/** The whole ledger, with the daemon stopped, by the command that an auditor would use. Returns the number of entries. */
export async function verifyLedger(stage: Stage, tell: Narrator): Promise<number> {
  const verified = await stage.holdfast('ledger', 'verify', '--json');
  must(
    verified.code === 0,
    `the ledger should verify: exit ${verified.code} ${verified.stdout}${verified.stderr}`,
  );
  const { entries } = JSON.parse(verified.stdout) as { entries: number };
  tell.good(
    'INTACT',
    `holdfast ledger verify: ${entries} entries, every chain, tree node and checkpoint`,
    verified.ms,
  );
  return entries;
}

export async function provePast(
  stage: Stage,
  tell: Narrator,
  decisions: readonly DecisionReply[],
): Promise<number> {
  tell.step(
    'Everything verifies',
    'The processes are stopped; what is left is files, and they have to speak for themselves.',
  );
  await stage.end('gateway', 'SIGTERM');
  await stage.end('daemon', 'SIGTERM');
  verifyPermits(stage, tell, decisions);
  return verifyLedger(stage, tell);
}
