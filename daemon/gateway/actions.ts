import type { ActionBody } from '../api/client.ts';
import { problemOf } from '../api/problem.ts';
import type { Json } from '../formats/json.ts';
import type { ToolOutput } from './connectors/run.ts';
import { type Enforcement, enforce, type Gatekeeper } from './enforce.ts';
import { GATEWAY_REFUSALS, type GatewayRefusalCode } from './refusal.ts';

/** Status and JSON text of an answer on `gateway.sock`. */
export interface ActionAnswer {
  status: number;
  body: string;
}

/**
 * The front door for actions: bounds how many are under way, and stops letting new ones in when the gateway is to end.
 * A caller that hangs up changes nothing: what was begun is brought to its outcome.
 */
export class ActionDesk {
  #gate: Gatekeeper;
  #limit: number;
  #running = new Set<Promise<unknown>>();
  #closed = false;

  /** `limit` bounds the actions (and so the tools) under way at once. */
  constructor(gate: Gatekeeper, limit: number) {
    this.#gate = gate;
    this.#limit = limit;
  }

  /** Actions under way. */
  get running(): number {
    return this.#running.size;
  }

  /** Governs one action (`POST /v1/actions`; `body` is schema-checked). */
  async answer(body: ActionBody, idempotencyKey: string | null): Promise<ActionAnswer> {
    if (this.#closed)
      return nothingDone(
        'gateway.stopping',
        'The gateway is stopping. No tool was started. Try again later.',
      );
    if (this.#running.size >= this.#limit) {
      return nothingDone(
        'gateway.overloaded',
        `${this.#limit} actions are under way. Nothing was asked or started. Try again later.`,
      );
    }
    const running = enforce(this.#gate, body, idempotencyKey);
    this.#running.add(running);
    try {
      return answerOf(await running);
    } finally {
      this.#running.delete(running);
    }
  }

  /** Lets nothing new in; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }
}

function nothingDone(code: GatewayRefusalCode, message: string): ActionAnswer {
  return refusal(GATEWAY_REFUSALS[code], code, message, null);
}

/**
 * 200: the tool ran (`outcome.result` says how it went). 202: the decision waits for authority. Everything else is a
 * problem document that carries the decision, if there is one: denied and refused 403, used up 409, and so on.
 */
function answerOf({ decision, run, refused }: Enforcement): ActionAnswer {
  const asJson = decision as unknown as Json;
  if (refused !== null)
    return refusal(refused.status, refused.refused, refused.message, asJson, refused.because);
  if (run !== null) {
    const outcome = { result: run.result, detail: run.detail };
    return { status: 200, body: JSON.stringify({ decision, outcome, output: printable(run.output) }) };
  }
  if (decision?.status === 'evaluated' || decision?.status === 'pending_authority') {
    return { status: 202, body: JSON.stringify({ decision, outcome: null, output: null }) };
  }
  const reasons = decision?.enforcement.reasons.join(' ') ?? '';
  const detail = `The decision is ${decision?.status ?? 'unknown'}. ${reasons} No tool was started.`;
  return refusal(403, `decision.${decision?.status ?? 'unknown'}`, detail, asJson);
}

function refusal(
  status: number,
  code: string,
  detail: string,
  decision: Json,
  because?: string,
): ActionAnswer {
  const document = { ...problemOf(status, code, detail), decision, outcome: null, output: null };
  return { status, body: JSON.stringify(because === undefined ? document : { ...document, because }) };
}

/** Text where both streams are UTF-8, base64 otherwise. A cut may have split a character; what is left of it goes. */
function printable(output: ToolOutput | null): Json {
  if (output === null) return null;
  const { stdout, stderr, truncated } = output;
  const texts = [stdout, stderr].map((bytes) => utf8(bytes, truncated));
  if (texts[0] === null || texts[1] === null) {
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    return { stdout: base64(stdout), stderr: base64(stderr), encoding: 'base64', truncated };
  }
  return { stdout: texts[0] ?? '', stderr: texts[1] ?? '', encoding: 'utf8', truncated };
}

function utf8(bytes: Uint8Array, truncated: boolean): string | null {
  try {
    // In stream mode an unfinished last character is held back instead of being an error.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: truncated });
  } catch {
    return null;
  }
}
