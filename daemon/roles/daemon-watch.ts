import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient, ApiProblem, ApiUnreachable, type CanaryReport, clientTlsFor } from '../api/client.ts';
import type { HostServices } from '../api/server.ts';
import type { Bundle } from '../core/bundle.ts';
import { type Canary, type CanaryAnswer, judgeCanary, makeCanary } from '../core/canary.ts';
import type { Decision } from '../core/decision.ts';
import type { Degraded } from '../engine/health/facts.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { randomBytes } from '../host/random.ts';
import { runBySchedule } from '../host/schedule.ts';
import type { SitePaths } from '../host/site.ts';
import { readIdentity } from '../identity/files.ts';

/** What the daemon does to see that its gateway enforces. */
export interface DaemonWatch {
  services: HostServices;
  status(): JsonObject;
  degraded(): Degraded[];
  /** Begins the schedule; returns what ends it. */
  start(): Promise<() => Promise<void>>;
}

const PATIENCE_MS = 30_000;

/** The self-test: by schedule where the site's settings have one, and on demand. */
export function openWatch(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  log: Logger,
): DaemonWatch {
  let last: CanaryReport | null = null;
  /** Since when the gateway has not answered. */
  let silent: string | null = null;
  const run = async (): Promise<CanaryReport> => {
    const report = await testEnforcement(config, paths, engine);
    silent = report.verdict === 'unanswered' ? (silent ?? report.at) : null;
    last = report;
    if (report.verdict === 'passed') log.info({ decision: report.decision_id }, 'self-test passed');
    else log.error({ ...report }, `self-test ${report.verdict}`);
    return report;
  };
  return {
    services: { 'canary.run': async () => ({ status: 200, body: JSON.stringify(await run()) }) },
    status: () => ({ schedule: config.watch.canary, last: last as unknown as JsonObject | null }),
    degraded: () => gatewayHealth(last, silent),
    start: () =>
      config.watch.canary === null
        ? Promise.resolve(() => Promise.resolve())
        : runBySchedule(config.watch.canary, '/watch/canary', async () => void (await run()), log),
  };
}

/**
 * One self-test: make a must-deny action → send it through the gateway → see what the ledger knows of it → judge → open
 * an incident when the gateway did anything but deny it.
 */
async function testEnforcement(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
): Promise<CanaryReport> {
  const canary = makeCanary(await bundleInForce(engine), randomBytes(8));
  const answer = await send(config, paths, canary);
  const decision_id = answer.kind === 'answered' ? answer.decision_id : null;
  const recorded = decision_id === null ? null : await decisionOf(engine, decision_id);
  const judged = judgeCanary(canary, answer, recorded, isSprung(canary.trap));
  const report = { verdict: judged.verdict, at: new Date().toISOString(), decision_id };
  if (judged.verdict === 'passed') return { ...report, why: null, incident_id: null };
  const { why } = judged;
  if (judged.verdict === 'unanswered') return { ...report, why, incident_id: null };
  return { ...report, why, incident_id: await openIncident(engine, canary, why, decision_id) };
}

/** As an agent would: over the gateway's own socket. */
async function send(
  { site, peers }: SiteConfig,
  paths: SitePaths,
  { request }: Canary,
): Promise<CanaryAnswer> {
  const tls = peers.tls ? clientTlsFor(site, 'gateway', readIdentity(paths, 'account')) : null;
  const client = new ApiClient({ socketPath: join(paths.run, 'gateway.sock'), timeoutMs: PATIENCE_MS, tls });
  try {
    const body = await client.action(request);
    return { kind: 'answered', status: 200, code: null, ...facts(body) };
  } catch (error) {
    if (error instanceof ApiUnreachable) return { kind: 'unreachable', reason: error.message };
    if (!(error instanceof ApiProblem)) throw error;
    return { kind: 'answered', status: error.status, code: error.code, ...facts(error.body) };
  } finally {
    client.close();
  }
}

/** What an answer says, whoever wrote it: nothing in it is believed to have its form. */
function facts({ decision, outcome, output }: JsonObject): { ran: boolean; decision_id: string | null } {
  const named =
    typeof decision === 'object' && decision !== null && !Array.isArray(decision)
      ? decision.decision_id
      : null;
  const ran = [outcome, output].some((part) => part !== null && part !== undefined);
  return { ran, decision_id: typeof named === 'string' ? named.slice(0, 64) : null };
}

function isSprung(trap: string | null): boolean {
  return trap !== null && lstatSync(trap, { throwIfNoEntry: false }) !== undefined;
}

async function bundleInForce(engine: EngineHandle): Promise<Bundle | null> {
  const answer = await engine.call({ ...internal('policy.get', null), args: {} });
  if (answer.status !== 200) return null;
  const { environments } = JSON.parse(textOf(answer)) as { environments: JsonObject[] };
  const spoken = environments.find(({ environment }) => environment === 'production') ?? environments[0];
  if (spoken === undefined || spoken.loaded !== true) return null;
  const { actions, incidents, environment } = spoken;
  return {
    actions,
    incidents: incidents ?? undefined,
    environments: { [String(environment)]: {} },
  } as unknown as Bundle;
}

async function decisionOf(engine: EngineHandle, id: string): Promise<Decision | null> {
  const answer = await engine.call({ ...internal('decisions.get', null), args: { id } });
  return answer.status === 200 || answer.status === 202 ? (JSON.parse(textOf(answer)) as Decision) : null;
}

async function openIncident(
  engine: EngineHandle,
  { request }: Canary,
  why: string,
  decision_id: string | null,
): Promise<string | null> {
  const evidence = { class: request.action.class, decision_id };
  const body = { cause: 'canary_failed', detail: `The self-test failed: ${why}.`, evidence };
  const answer = await engine.call(internal('incidents.open', JSON.stringify(body)));
  const { incident_id } = JSON.parse(textOf(answer)) as { incident_id?: string };
  return incident_id ?? null;
}

/** A gateway that is silent is no incident: nothing runs without it. But nobody can tell whether it enforces. */
function gatewayHealth(last: CanaryReport | null, silent: string | null): Degraded[] {
  if (last?.verdict !== 'unanswered') return [];
  return [
    {
      component: 'gateway',
      cause: `the self-test was not answered: ${last.why}`,
      since: silent,
      effect: 'Nothing is executed through the gateway, or nobody can tell whether it enforces.',
      instruction:
        'Start the gateway (holdfast gateway) or read its log, then test again: holdfast incident canary. Where callers are told apart, the policy must name a canary_actor with the identity of the account that runs the daemon.',
    },
  ];
}
