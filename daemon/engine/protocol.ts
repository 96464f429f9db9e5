import type { Json } from '../formats/json.ts';

/** Who is on the other end of a socket, as far as the host can tell. */
export interface Peer {
  socket: 'request' | 'redeem' | 'operator' | 'gateway' | 'internal';
  /** The local user that it runs as, by the kernel's word; null where that cannot be had. */
  uid: number | null;
  /** Of its certificate, where it showed one that the site's authority issued. */
  spiffe_id?: string;
  /** SHA-256 (hex) of that certificate. */
  certificate?: string;
}

/**
 * Everything that can be asked of the engine. Writes append one entry each, named after the result (or are refused and append none);
 * reads see only committed state. `body` is the JSON text of the HTTP body or ws params, already schema-checked.
 */
export type EngineMethod =
  | 'decisions.create'
  | 'decisions.get'
  | 'decisions.list'
  | 'decisions.entries'
  | 'decisions.approve'
  | 'decisions.cancel'
  | 'decisions.review'
  | 'decisions.reconcile'
  | 'decisions.replay'
  | 'decisions.token_rules'
  | 'permits.redeem'
  | 'permits.outcome'
  | 'permits.open'
  | 'keys.suspend'
  | 'keys.suspended'
  | 'envelopes.get'
  | 'envelopes.change'
  | 'envelopes.disclose'
  | 'envelopes.rotate'
  | 'envelopes.rotated'
  | 'anomalies.list'
  | 'peers.admit'
  | 'policy.get'
  | 'policy.history'
  | 'policy.prepare'
  | 'policy.apply'
  | 'policy.refuse'
  | 'policy.held'
  | 'policy.release'
  | 'incidents.open'
  | 'incidents.get'
  | 'incidents.list'
  | 'incidents.resume'
  | 'breakglass.activate'
  | 'breakglass.end'
  | 'breakglass.review'
  | 'breakglass.get'
  | 'breakglass.list'
  | 'grants.issue'
  | 'grants.redeem'
  | 'grants.revoke'
  | 'grants.get'
  | 'grants.list'
  | 'anchors.export'
  | 'backups.record'
  | 'anchors.carried'
  | 'anchors.list'
  | 'anchors.from'
  | 'anchors.cosign'
  | 'outbox.keys'
  | 'outbox.acknowledge'
  | 'time.get'
  | 'time.state'
  | 'status.get'
  | 'retention.archived'
  | 'retention.carry'
  | 'retention.hold'
  | 'retention.release'
  | 'retention.shred'
  | 'retention.get'
  | 'ledger.checkpoint'
  | 'ledger.keys'
  | 'ledger.rotate_key'
  | 'ledger.disclose'
  | 'ledger.entries'
  | 'ledger.proof'
  | 'ledger.tile'
  | 'evidence.mentions'
  | 'evidence.gather'
  | 'system.retired'
  | 'system.stopped'
  | 'system.tick';

export interface EngineCall {
  method: EngineMethod;
  /** Path and query parameters. */
  args: Record<string, string>;
  body: string | null;
  /** Value of `Idempotency-Key`. */
  key: string | null;
  peer: Peer;
}

/**
 * The answer to one call. For a write, whatever it says is already fsynced. `body` is JSON text, or its UTF-8 bytes, or
 * (checkpoint, proof, tile) the raw bytes of a C2SP format.
 */
export interface EngineReply {
  status: number;
  body: string | Buffer;
}

/** What a proof is printed from: C2SP tlog-proof of a committed entry under the newest checkpoint. */
export interface ProofParts {
  index: number;
  /** The entry's exact bytes, the `extra` line of the proof. */
  entry: Uint8Array;
  /** Audit path, leaf's sibling first. */
  path: readonly Uint8Array[];
  checkpoint: string;
}

/**
 * A reply as the engine makes it. With `permit`, the body breaks off inside the decision's last member, its permit,
 * where the proof is still to be printed: `completeReply` does that, outside the writer's thread, which has better to do.
 */
export interface DraftReply extends EngineReply {
  permit?: ProofParts;
}

/** The body of a reply as text. */
export function textOf({ body }: EngineReply): string {
  return typeof body === 'string' ? body : body.toString('utf8');
}

/** A committed entry, announced to subscribers and long-polls after its batch is durable. */
export interface EngineEvent {
  index: number;
  stream: string;
  type: string;
  /** Status of the decision after this entry, for decision streams. */
  status: string | null;
}

/** What the daemon's main thread holds of the engine; the worker thread is behind it. */
export interface EngineHandle {
  /** Resolves after the batch that holds the call's entry is durable; rejects only when the engine is gone. */
  call(call: EngineCall): Promise<EngineReply>;
  /** Calls the listener for every committed entry, in order. Returns the unsubscribe function. */
  onEvents(listener: (events: EngineEvent[]) => void): () => void;
  /** Finishes what was accepted, writes `system.stopped`, closes the ledger. */
  stop(reason: string): Promise<void>;
}

/** RFC 9457 problem document. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  [extension: string]: Json;
}

/** A call by the daemon itself: no socket, no caller. */
export function internal(method: EngineCall['method'], body: string | null): EngineCall {
  return { method, args: {}, body, key: null, peer: { socket: 'internal', uid: null } };
}
