import { STATUS_CODES } from 'node:http';
import type { EngineReply, Problem } from '../engine/protocol.ts';
import type { BoundaryError } from '../formats/boundary-error.ts';

/** What the API itself refuses, each with its one status. The engine's refusals have their own table. */
const API_PROBLEMS = {
  'request.malformed': 400,
  'request.invalid': 400,
  'request.timeout': 408,
  'request.too_large': 413,
  'request.media_type': 415,
  'request.headers_too_large': 431,
  'request.too_many': 429,
  'request.rate_limited': 429,
  'method.unknown': 404,
  'method.not_on_this_socket': 404,
  'peer.certificate_refused': 403,
  'method.not_allowed': 405,
  'stream.too_many_subscriptions': 429,
  'stream.no_subscription': 404,
  'policy.update_not_found': 404,
  'server.busy': 503,
  'server.stopping': 503,
  not_ready: 503,
  unavailable: 503,
  internal: 500,
} as const;

export type ApiProblemCode = keyof typeof API_PROBLEMS;

/**
 * An RFC 9457 problem document. `detail` is for people and never holds a value of the request; `at` names the offending
 * field as a JSON pointer or parameter name.
 */
export function problem(code: ApiProblemCode, detail: string, at?: string): Problem {
  return problemOf(API_PROBLEMS[code], code, detail, at);
}

/** A problem with a status and code of another table (engine, gateway). */
export function problemOf(status: number, code: string, detail: string, at?: string): Problem {
  const document: Problem = {
    type: `urn:holdfast:problem:${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code,
    detail,
  };
  if (at !== undefined) document.at = at;
  return document;
}

/** The reply that carries a problem. */
export function problemReply(document: Problem): EngineReply {
  return { status: document.status, body: JSON.stringify(document) };
}

/**
 * Input that a strict parser rejected, as a problem: too large is 413, all else 400. The parser's code and place are
 * kept, so that the caller learns which field it was.
 */
export function problemOfBoundary(error: BoundaryError): Problem {
  const status = error.code.endsWith('.too_large') ? 413 : 400;
  return problemOf(status, error.code, error.message, error.at);
}
