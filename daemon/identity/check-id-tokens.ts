import type { CheckedIdToken } from '../core/id-token.ts';
import { type EngineCall, type EngineHandle, textOf } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { IdTokenRules } from './id-token.ts';

/**
 * The engine, with ID tokens beside approvals verified on the way to it: it has one thread for everything, and looking at a
 * token takes other people's asynchronous code. What the engine gets in place of the token is what was found; a token
 * that comes to it in any other way is text, and counts as not verified.
 */
export function withIdTokens(engine: EngineHandle): EngineHandle {
  return {
    call: async (call) => engine.call(await withChecked(engine, call)),
    onEvents: (listener) => engine.onEvents(listener),
    stop: (reason) => engine.stop(reason),
  };
}

async function withChecked(engine: EngineHandle, call: EngineCall): Promise<EngineCall> {
  if (call.method !== 'decisions.approve' || call.body === null) return call;
  const body = JSON.parse(call.body) as JsonObject;
  const { id_token: token, act } = body;
  if (typeof token !== 'string' || typeof act !== 'string') return call;
  const checked = await check(engine, call, token, act);
  return { ...call, body: JSON.stringify({ ...body, id_token: checked }) };
}

async function check(
  engine: EngineHandle,
  { args, peer }: EngineCall,
  token: string,
  act: string,
): Promise<CheckedIdToken> {
  const answer = await engine.call({
    method: 'decisions.token_rules',
    args,
    body: null,
    key: null,
    peer: { ...peer, socket: 'internal' },
  });
  // Without a decision there is nothing to judge it by; the engine says so itself.
  if (answer.status !== 200) return { failed: 'there is nothing to hold it against.' };
  // Most sites have no provider of tokens; those that have begin to pay for it here.
  const { verifyIdToken } = await import('./id-token.ts');
  return verifyIdToken(token, act, JSON.parse(textOf(answer)) as IdTokenRules);
}
