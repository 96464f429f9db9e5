import type { Bundle, BundleCanary } from './bundle.ts';
import type { Decision } from './decision.ts';

/*
 * The self-test of enforcement: an action that must be denied goes through the real gateway. Anything but a denial that
 * the ledger knows of means that the gateway does not enforce.
 */

/** A request as the gateway takes it. */
export interface CanaryRequest {
  action: {
    class: string;
    intent: string;
    target: { type: string; id: string };
    payload: Record<string, string | number | boolean>;
  };
  context: { actor: { id: string; role: null }; environment: string; request_source: string };
}

export interface Canary {
  request: CanaryRequest;
  /** A file that exists only if the tool ran. */
  trap: string | null;
}

const VERBS = ['rotate', 'flush', 'vent', 'reseat', 'unlock', 'retune', 'purge', 'swap'];
const THINGS = ['valves', 'breakers', 'mirrors', 'filters', 'batteries', 'antennas', 'pumps', 'heaters'];
const TYPES = ['service', 'device', 'rack', 'line'];
const INTENTS = [
  'scheduled maintenance of the north side',
  'requested by the shift',
  'follow-up to the morning check',
  'as the manual says for this time of year',
];
const SOURCES = ['cli', 'scheduler', 'mcp'];

/**
 * A must-deny action, different each time: one of the policy's own canaries, or one of a class that no policy has. `random`
 * are at least 8 bytes. A gateway that wants to can still tell it from a real one (docs/operate/incidents.md).
 */
export function makeCanary(bundle: Bundle | null, random: Uint8Array): Canary {
  const [which = 0, ...rest] = random;
  const own = bundle?.incidents?.canaries ?? [];
  // One in as many is built in, so that a policy's own canaries do not become the only ones.
  const chosen = own[which % (own.length + 1)];
  const environments = Object.keys(bundle?.environments ?? {});
  const actor = bundle?.incidents?.canary_actor ?? inventedActor(rest);
  const context = {
    actor: { id: actor, role: null },
    environment: chosen?.environment ?? pick(environments, rest[5]) ?? 'production',
    request_source: pick(SOURCES, rest[6]) ?? 'cli',
  };
  const action = chosen === undefined ? inventedAction(bundle, rest) : ownAction(chosen, rest);
  return { request: { action, context }, trap: chosen?.trap ?? null };
}

function ownAction(canary: BundleCanary, random: readonly number[]): CanaryRequest['action'] {
  const { target, payload = {} } = canary;
  return { class: canary.class, intent: intentOf(random), target: { ...target }, payload: { ...payload } };
}

function inventedAction(bundle: Bundle | null, random: readonly number[]): CanaryRequest['action'] {
  const [verb = 0, thing = 0, type = 0, number = 0] = random;
  const named = `${pick(VERBS, verb)}_${pick(THINGS, thing)}`;
  const taken = bundle !== null && Object.hasOwn(bundle.actions, named);
  return {
    class: taken ? `${named}_again` : named,
    intent: intentOf(random),
    target: { type: pick(TYPES, type) ?? 'device', id: `${pick(THINGS, thing)}-${number}` },
    payload: {},
  };
}

function intentOf(random: readonly number[]): string {
  return pick(INTENTS, random[3]) ?? 'maintenance';
}

/** Nobody: where callers are told apart, policy names somebody who may ask (`canary_actor`). */
function inventedActor(random: readonly number[]): string {
  return `agent:${pick(THINGS, random[4])}-${random[5] ?? 0}`;
}

function pick<T>(list: readonly T[], random: number | undefined): T | undefined {
  return list.length === 0 ? undefined : list[(random ?? 0) % list.length];
}

/** What came back from the gateway. */
export type CanaryAnswer =
  | { kind: 'unreachable'; reason: string }
  | { kind: 'answered'; status: number; code: string | null; ran: boolean; decision_id: string | null };

/** `unanswered`: nothing is known of enforcement, because the gateway did not get as far as to answer. */
export type CanaryVerdict = { verdict: 'passed' } | { verdict: 'failed' | 'unanswered'; why: string };

/** Codes of a gateway, or of whoever guards its socket, that has done nothing at all. */
const NOTHING_DONE = /^(peer|tls|server|request)\.|^(not_ready|unavailable|internal)$/;

/**
 * Judges the self-test. `recorded` is the decision as the engine has it, under the id that the gateway named; a denial that
 * the ledger does not know was made up. `trapped`: the trap file exists.
 */
export function judgeCanary(
  { request }: Canary,
  answer: CanaryAnswer,
  recorded: Decision | null,
  trapped: boolean,
): CanaryVerdict {
  if (trapped) return failed('the tool of the must-deny action ran: its trap file exists');
  if (answer.kind === 'unreachable') return { verdict: 'unanswered', why: answer.reason };
  const { status, code, ran } = answer;
  if (ran) return failed(`the gateway says that it ran a must-deny action (HTTP ${status})`);
  if (status >= 500 || status === 429 || NOTHING_DONE.test(code ?? ''))
    return { verdict: 'unanswered', why: `the gateway did not get as far as to decide (${code ?? status})` };
  if (code !== 'decision.denied')
    return failed(`the gateway answered a must-deny action with ${code ?? `HTTP ${status}`}`);
  if (recorded === null || !isAbout(recorded, request))
    return failed('the gateway says "denied", but the ledger holds no such denial: it did not ask');
  return recorded.status === 'denied'
    ? { verdict: 'passed' }
    : failed(`the ledger says "${recorded.status}" of a must-deny action`);
}

function isAbout({ action }: Decision, { action: asked }: CanaryRequest): boolean {
  return (
    action.class === asked.class &&
    action.target?.type === asked.target.type &&
    action.target.id === asked.target.id
  );
}

function failed(why: string): CanaryVerdict {
  return { verdict: 'failed', why };
}
