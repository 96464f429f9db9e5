import type { Json, JsonObject } from './json.ts';

/** A sensitive value's stand-in wherever bytes are hashed or stored: SHA-256 over salt and canonical value. */
export interface Commitment {
  /** Hex SHA-256 of `salt(32 bytes) || RFC 8785 bytes of the value`. */
  $commitment: string;
}

/** A resolved `exec` call: what the gateway runs, word for word. No shell is involved. */
export interface ExecCall {
  connector: 'exec';
  argv: string[];
  /** JSON object written to the tool's stdin; sensitive members are commitments here, values beside the permit. */
  stdin: JsonObject | null;
  timeout_ms: number;
  output_limit_bytes: number;
}

/** A resolved `http` call to a Unix socket or TCP address that the bundle names. */
export interface HttpCall {
  connector: 'http';
  /** `unix:/path` or `tcp:host:port`. */
  address: string;
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body: Json;
  timeout_ms: number;
  output_limit_bytes: number;
}

export type ResolvedCall = ExecCall | HttpCall;

/**
 * The grant inside an `allow` entry (`data.permit`). A permit *file* is the C2SP tlog-proof of that entry, with the
 * entry's bytes in its `extra` line.
 */
export interface Permit {
  /** `prm_…`, with the decision's own unique part: a decision yields at most one permit. */
  id: string;
  decision_id: string;
  audience: string;
  action_digest: string;
  policy_digest: string;
  tool: string;
  call: ResolvedCall;
  environment: string;
  target: { type: string; id: string };
  profile: string;
  /** RFC 3339 ms UTC. */
  not_before: string;
  expires_at: string;
}
