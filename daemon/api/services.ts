import { type EngineHandle, textOf } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Answer, HostServices } from './dispatch.ts';
import { problem, problemOf, problemReply } from './problem.ts';

/** What became of an import: applied (or already in force), held for people or a date, or refused with a code and a sentence. */
export type ImportResult =
  | ({ applied: true } & JsonObject)
  | ({ applied: false; held?: true; code: string; reason: string } & JsonObject);

/** What the daemon's process adds to its engine. */
export interface DaemonParts {
  engine: EngineHandle;
  /** The files under which the bundle with this digest (null: what is in force) was given to the environment (null: any); null if unknown. */
  policyUpdate(
    digest: string | null,
    environment: string | null,
  ): Promise<{ update_id: string; files: Record<string, string> } | null>;
  /** `actor`: who says to ask; null when nobody is named. */
  importPolicy(path: string, actor: string | null): Promise<ImportResult>;
  /** What the process knows beside the engine: uptime, sockets, schedules. */
  extraStatus(): JsonObject;
  /** What is degraded beside the engine's own parts. */
  extraDegraded(): readonly JsonObject[];
}

/** The host's part of the table for the daemon's sockets. */
export function daemonServices(parts: DaemonParts): HostServices {
  return {
    'policy.update': async ({ args }) => {
      const update = await parts.policyUpdate(args.digest ?? null, args.environment ?? null);
      if (update !== null) return { status: 200, body: JSON.stringify(update) };
      return problemReply(
        problem(
          'policy.update_not_found',
          'no update with that bundle was ever applied here',
          'query/digest',
        ),
      );
    },
    'policy.import': async ({ body, principal }) => {
      const { path, actor = principal } = body as { path: string; actor?: string };
      return importAnswer(await parts.importPolicy(path, actor));
    },
    'status.get': () => statusAnswer(parts),
    'ready.get': () => readyAnswer(parts.engine),
  };
}

function importAnswer(result: ImportResult): Answer {
  if (result.applied === true) return { status: 200, body: JSON.stringify(result) };
  if (result.held === true) return { status: 202, body: JSON.stringify(result) };
  const { code, reason, ...rest } = result;
  return problemReply({ ...problemOf(422, String(code), String(reason)), ...rest });
}

async function engineStatus(engine: EngineHandle): Promise<Answer> {
  return engine.call({
    method: 'status.get',
    args: {},
    body: null,
    key: null,
    peer: { socket: 'internal', uid: null },
  });
}

/** The engine's status with what the host knows put in: its degraded parts, and the rest as member `host`. */
async function statusAnswer(parts: DaemonParts): Promise<Answer> {
  const answer = await engineStatus(parts.engine);
  if (answer.status !== 200) return answer;
  const status = JSON.parse(textOf(answer)) as JsonObject & { degraded?: JsonObject[] };
  const degraded = [...(status.degraded ?? []), ...parts.extraDegraded()];
  return { status: 200, body: JSON.stringify({ ...status, degraded, host: parts.extraStatus() }) };
}

/** The same as a value, for those within the process; null when there is none. */
export async function readStatus(parts: DaemonParts): Promise<JsonObject | null> {
  const answer = await statusAnswer(parts);
  return answer.status === 200 ? (JSON.parse(textOf(answer)) as JsonObject) : null;
}

/** Ready means: the engine says that it could allow something right now. Anything else is a 503 with its reasons. */
async function readyAnswer(engine: EngineHandle): Promise<Answer> {
  const answer = await engineStatus(engine);
  if (answer.status !== 200) return answer;
  const { ready, degraded } = JSON.parse(textOf(answer)) as {
    ready?: boolean;
    degraded?: { effect: string; instruction: string }[];
  };
  if (ready === true) return { status: 200, body: '{"ready":true}' };
  const reasons = (degraded ?? []).map(({ effect, instruction }) => `${effect} ${instruction}`);
  return problemReply(
    problem('not_ready', reasons.join(' ') || 'nothing can be allowed right now; see status'),
  );
}
