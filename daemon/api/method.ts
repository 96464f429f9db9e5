import type { TObject, TSchema } from 'typebox';
import type { EngineMethod } from '../engine/protocol.ts';

/*
 * The shape of a row of the method table (`methods.ts`).
 */

/** The kinds of socket; each has its own callers, its own group on the file, its own share of the table. */
export type SocketKind = 'request' | 'redeem' | 'operator' | 'gateway';

/** Methods that the process around the server answers, not the engine. */
export type HostMethod =
  | 'policy.update'
  | 'policy.import'
  | 'outbox.acknowledgements'
  | 'anchors.export'
  | 'anchors.carry'
  | 'anchors.cosignatures'
  | 'peers.identify'
  | 'tls.renew'
  | 'canary.run'
  | 'retention.prune'
  | 'retention.carry'
  | 'ledger.search'
  | 'evidence.export'
  | 'actions.execute'
  | 'status.get'
  | 'ready.get';

/** Methods that the server answers by itself. */
export type OwnMethod = 'health.get' | 'metrics.get' | 'openapi.get';

/** Methods that exist only inside a stream connection. */
export type StreamMethod = 'subscribe' | 'unsubscribe';

interface MethodShape {
  readonly summary: string;
  /** Where the method exists; everywhere else it is a 404. */
  readonly sockets: readonly SocketKind[];
  /** Path parameters in braces, RFC 6570 style; a last `{path+}` takes the rest of the path. */
  readonly http: { readonly verb: 'GET' | 'POST'; readonly path: string } | null;
  readonly path?: TObject;
  readonly query?: TObject;
  readonly body?: TSchema;
  readonly reply: TSchema | 'text' | 'bytes';
  /** Takes `wait`: a pending decision is answered when it is decided, or when the time is up. */
  readonly waits?: true;
  /** Takes `Idempotency-Key`. */
  readonly keyed?: true;
  /** From checked path and query parameters to the engine's arguments, where they differ. May throw `BoundaryError`. */
  readonly args?: (parameters: Record<string, string>) => Record<string, string>;
}

/** One row of the table: what may be asked, where, in which form, and who answers. */
export type Method = MethodShape &
  (
    | { readonly kind: 'engine'; readonly name: EngineMethod }
    | { readonly kind: 'host'; readonly name: HostMethod }
    | { readonly kind: 'own'; readonly name: OwnMethod }
    | { readonly kind: 'stream'; readonly name: StreamMethod }
  );
