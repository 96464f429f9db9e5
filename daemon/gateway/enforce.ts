import {
  type ActionBody,
  ApiProblem,
  ApiUnreachable,
  type DecisionReply,
  type Redeemed,
} from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { ResolvedCall } from '../formats/permit.ts';
import type { Clock } from '../host/clock.ts';
import type { Logger } from '../host/log.ts';
import type { Alarm } from './alarm.ts';
import type { BundleCache } from './bundle-cache.ts';
import type { ToolRun } from './connectors/run.ts';
import { type CredentialSource, fillCredentials, lookUpCredentials } from './credentials.ts';
import type { EnginePort } from './engine-port.ts';
import type { Journal, SeenTree } from './journal.ts';
import type { OutcomeReporter } from './outcomes.ts';
import { findingOf, type Programs } from './programs.ts';
import { openCall, verifyRedemption } from './redemption.ts';
import { type GatewayRefusal, type GatewayRefusalCode, isRefused, refuse } from './refusal.ts';
import type { GatewayTrust } from './trust.ts';
import { type Grant, verifyGrant } from './verify-grant.ts';

/** What one enforcement works with. */
export interface Gatekeeper {
  trust: GatewayTrust;
  engine: EnginePort;
  bundles: Pick<BundleCache, 'get'>;
  journal: Journal;
  reporter: OutcomeReporter;
  clock: Clock;
  log: Logger;
  /** Whether a tool's program is the one that policy pins. */
  programs: Pick<Programs, 'check'>;
  /** The secrets that only this gateway has. */
  credentials: CredentialSource;
  /** Told of what must become an incident. */
  alarm: Pick<Alarm, 'raise'>;
  /** Runs a call through its connector. Never throws. */
  run: (call: ResolvedCall) => Promise<ToolRun>;
}

/** How it went. `run` is null when no tool was started; `refused` says why, unless the decision itself does. */
export interface Enforcement {
  decision: DecisionReply | null;
  run: ToolRun | null;
  refused: GatewayRefusal | null;
}

/**
 * Governs one action: ask → verify the permit → look at the tool and its secrets → take it → redeem it → verify the redemption → open the sensitive values
 * → journal → act → report. Whatever does not hold ends the walk, and the tool stays where it is.
 */
export async function enforce(
  gate: Gatekeeper,
  submission: ActionBody,
  idempotencyKey: string | null = null,
): Promise<Enforcement> {
  const decision = await ask(gate, submission, idempotencyKey);
  if (isRefused(decision)) return { decision: null, run: null, refused: decision };
  const stop = (refused: GatewayRefusal | null): Enforcement => {
    if (refused !== null)
      gate.log.warn(
        { decision: decision.decision_id, code: refused.refused, because: refused.because },
        'refused',
      );
    if (refused !== null && SUSPECT.includes(refused.refused)) accuse(gate, decision.decision_id, refused);
    return { decision, run: null, refused };
  };
  if (decision.status === 'executed' || decision.status === 'reviewed') return stop(alreadyUsed());
  if (decision.status !== 'authorized') return stop(null);

  const grant = await judge(gate, submission, decision);
  if (isRefused(grant)) return stop(grant);
  const changed = lookAtTool(gate, grant);
  if (changed !== null) return stop(changed);
  const secrets = lookUpCredentials(grant.call, gate.credentials);
  if (isRefused(secrets)) return stop(secrets);
  const taken = take(gate.journal, grant);
  if (taken !== null) return stop(taken);

  const before = gate.journal.tree;
  const redeemed = await redeem(gate, grant);
  if (isRefused(redeemed)) return stop(redeemed);
  const tree = verifyRedemption(gate.trust, grant, before, redeemed);
  if (isRefused(tree)) return stop(await abandon(gate, grant, tree));
  const call = openCall(grant, redeemed.sensitive);
  if (isRefused(call)) return stop(await abandon(gate, grant, call));

  // The point of no return: once this line is on the disk, the permit never runs again, not even after a crash.
  const started = await recordStart(gate, grant, tree);
  if (isRefused(started)) return stop(await abandon(gate, grant, started));
  const run = await gate.run(fillCredentials(call, secrets));
  const reported = await gate.reporter.settle({ ...ids(grant), result: run.result, detail: run.detail });
  return { decision: reported ?? decision, run, refused: null };
}

/** A new decision, or the one that was decided later, on its own requester's demand. */
async function ask(
  gate: Gatekeeper,
  submission: ActionBody,
  key: string | null,
): Promise<DecisionReply | GatewayRefusal> {
  try {
    if ('action' in submission) return await gate.engine.createDecision(submission, key);
    const decision = await gate.engine.getDecision(submission.decision_id);
    const { id } = submission.context.actor;
    if (id !== null && id !== undefined && id === decision.context.actor.id) return decision;
    return refuse(
      'gateway.not_requester',
      'Only the actor who asked for this decision may execute it. No tool was started.',
    );
  } catch (error) {
    return engineSaidNo(error, 'gateway.engine_refused', 'The engine did not decide');
  }
}

async function judge(
  gate: Gatekeeper,
  submission: ActionBody,
  decision: DecisionReply,
): Promise<Grant | GatewayRefusal> {
  const context = {
    trust: gate.trust,
    bundleOf: (digest: string, environment: string) => gate.bundles.get(digest, environment),
    now: gate.clock.now(),
  };
  try {
    return await verifyGrant(context, submission, decision);
  } catch (error) {
    if (!(error instanceof BoundaryError)) {
      return engineSaidNo(
        error,
        'gateway.bundle_unverifiable',
        'The engine did not deliver the signed bundle of the permit',
      );
    }
    return refuse(
      'gateway.bundle_unverifiable',
      `The bundle of the permit does not verify under this gateway's pinned root: ${error.message} No tool was started.`,
      error.code,
    );
  }
}

/** What only an engine in error, or in somebody else's hands, gives out. */
const SUSPECT: readonly GatewayRefusalCode[] = [
  'gateway.permit_unverifiable',
  'gateway.call_differs',
  'gateway.redemption_unverifiable',
];

function accuse(gate: Gatekeeper, decision_id: string, { refused, message }: GatewayRefusal): void {
  void gate.alarm.raise({
    cause: 'gateway_report',
    detail: message,
    evidence: { decision_id, code: refused },
  });
}

/** A program that was replaced is not started, whoever allowed it; the permit is left for when it was put right. */
function lookAtTool(gate: Gatekeeper, { permit, tool }: Grant): GatewayRefusal | null {
  const change = gate.programs.check(permit.tool, tool);
  if (change === null) return null;
  const finding = findingOf(change);
  void gate.alarm.raise(finding);
  return refuse(
    'gateway.tool_changed',
    `${finding.detail} It was not started. Put ${change.path} right, or have policy pin the new one.`,
  );
}

/** Two requests never hold the same permit, and one that was ever taken up here is never taken again. */
function take(journal: Journal, grant: Grant): GatewayRefusal | null {
  switch (journal.claim(grant.permit.id)) {
    case 'claimed':
      return null;
    case 'used':
      return alreadyUsed();
    case 'too_old':
      return refuse(
        'gateway.too_old',
        'The permit is older than what this gateway remembers, so it cannot tell whether it was used. No tool was started. Ask anew.',
      );
  }
}

async function redeem(gate: Gatekeeper, grant: Grant): Promise<Redeemed | GatewayRefusal> {
  const { permit } = grant;
  try {
    return await gate.engine.redeem(permit.id, permit.action_digest);
  } catch (error) {
    const refused = engineSaidNo(error, 'gateway.redemption_refused', 'The engine did not redeem the permit');
    const notDone =
      error instanceof ApiUnreachable ? !error.sent : error instanceof ApiProblem && error.status < 500;
    if (notDone) gate.journal.release(permit.id);
    // It may have been redeemed: then it is spent, and the engine learns that nothing ran.
    else await abandon(gate, grant, refused);
    return refused;
  }
}

async function recordStart(gate: Gatekeeper, grant: Grant, tree: SeenTree): Promise<GatewayRefusal | null> {
  const { id: permit, decision_id: decision } = grant.permit;
  try {
    await gate.journal.started({ permit, decision, at: new Date(gate.clock.now()).toISOString(), tree });
    return null;
  } catch (error) {
    gate.log.error({ permit, err: error }, 'the journal cannot be written; nothing runs until a restart');
    return refuse(
      'gateway.journal_unavailable',
      'The gateway cannot write its journal, so it runs nothing. The permit is spent, but no tool was started. Free disk space ' +
        'and restart the gateway.',
    );
  }
}

/** The permit is (or may be) spent and no tool was started: the engine is told so. */
async function abandon(gate: Gatekeeper, grant: Grant, refused: GatewayRefusal): Promise<GatewayRefusal> {
  await gate.reporter.settle({
    ...ids(grant),
    result: 'failed',
    detail: { reason: `not_started: ${refused.refused}` },
  });
  return refused;
}

function ids(grant: Grant): { permit_id: string; decision_id: string } {
  return { permit_id: grant.permit.id, decision_id: grant.permit.decision_id };
}

function alreadyUsed(): GatewayRefusal {
  return refuse(
    'gateway.already_used',
    'The permit of this decision was used before; a permit runs once. No tool was started. Ask for a new decision.',
  );
}

/** Both ways in which the engine can fail to answer; anything else is a bug and thrown on. */
function engineSaidNo(
  error: unknown,
  code: 'gateway.engine_refused' | 'gateway.bundle_unverifiable' | 'gateway.redemption_refused',
  what: string,
): GatewayRefusal {
  if (error instanceof ApiUnreachable) {
    return refuse(
      'gateway.engine_unreachable',
      `${what}: ${sentence(error.message)} No tool was started. Check that the daemon runs.`,
    );
  }
  if (error instanceof ApiProblem) {
    const refused = refuse(code, `${what}: ${sentence(error.detail)} No tool was started.`, error.code);
    return { ...refused, status: error.status };
  }
  throw error;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
