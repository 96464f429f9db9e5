import type { CarriedAlong, TakenCosignatures } from '../core/anchor-report.ts';
import type { Entry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { AnchorChain, ExportedAnchor } from './client-anchors.ts';
import type { NamedActor } from './client-bodies.ts';
import type {
  DisclosedFields,
  DiscloseFieldsBody,
  EnvelopeChangeBody,
  EnvelopeChanged,
  EnvelopeKeyRotated,
  EnvelopeView,
} from './client-envelopes.ts';
import type { ClientTls } from './client-identity.ts';
import type { LedgerKeysReply, RotatedLedgerKey, RotateKeyBody } from './client-keys.ts';
import type { Disclosed, DisclosureBody, FoundPage, SearchCall } from './client-reading.ts';
import type { CarriedArchive, HoldBody, PruneReport, RetentionState } from './client-retention.ts';
import { type Call, type CallOptions, jsonOf, Transport } from './client-transport.ts';

/** Beyond a long-poll's own time: how long the answer may take to come. */
const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * What every client of a socket is built on, and the part of it that is about records: ledger, keys, anchors, archives, and
 * what is read of them. `client.ts` adds the rest.
 */
export class RecordsClient {
  readonly socketPath: string;
  protected readonly transport: Transport;

  constructor(options: { socketPath: string; timeoutMs?: number; tls?: ClientTls | null }) {
    this.socketPath = options.socketPath;
    this.transport = new Transport(
      options.socketPath,
      options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      options.tls ?? null,
    );
  }

  /** Shows another certificate from the next connection on. */
  useIdentity(tls: ClientTls): void {
    this.transport.renew(tls);
  }

  /** Drops the idle connections. Calls under way go on. */
  close(): void {
    this.transport.close();
  }

  protected async json<T>(call: Call): Promise<T> {
    const reply = await this.transport.reply(call);
    return jsonOf(reply) as T;
  }

  protected async text(call: Call): Promise<string> {
    return (await this.transport.reply(call)).bytes.toString('utf8');
  }

  /** Which fields of a decision are sensitive, and how each stands. */
  envelope(id: string): Promise<EnvelopeView> {
    return this.json({ verb: 'GET', path: `/v1/decisions/${part(id)}/envelope` });
  }

  /** Destroys, withholds or releases sensitive values, by a signed act. */
  changeEnvelope(id: string, body: EnvelopeChangeBody): Promise<EnvelopeChanged> {
    return this.json({ verb: 'POST', path: `/v1/decisions/${part(id)}/envelope`, body });
  }

  /** Opens sensitive values; that it was done is on record before the answer comes. */
  discloseFields(id: string, body: DiscloseFieldsBody): Promise<DisclosedFields> {
    return this.json({ verb: 'POST', path: `/v1/decisions/${part(id)}/disclose`, body });
  }

  /** Begins a rotation of the envelope key. */
  rotateEnvelopeKey(body: { reason: string; actor?: NamedActor }): Promise<EnvelopeKeyRotated> {
    return this.json({ verb: 'POST', path: '/v1/keys/envelope/rotate', body });
  }

  /** The ledger's keys as its entries have them. */
  ledgerKeys(): Promise<LedgerKeysReply> {
    return this.json({ verb: 'GET', path: '/v1/keys/ledger' });
  }

  /** Makes a new ledger key, which signs from that entry on. */
  rotateLedgerKey(body: RotateKeyBody): Promise<RotatedLedgerKey> {
    return this.json({ verb: 'POST', path: '/v1/keys/ledger/rotate', body });
  }

  /** Puts a backup on record. */
  recordBackup(body: JsonObject): Promise<{ record_id: number }> {
    return this.json({ verb: 'POST', path: '/v1/backups', body });
  }

  /** Exports the newest tree head as an anchor; its file lies in the outbox when this resolves. */
  exportAnchor(): Promise<ExportedAnchor> {
    return this.json({ verb: 'POST', path: '/v1/anchors', body: {} });
  }

  /** The chain of anchors, newest first. */
  anchors(query: { before?: string; limit?: string } = {}): Promise<AnchorChain> {
    return this.json({ verb: 'GET', path: '/v1/anchors', query });
  }

  /** The bytes of an add-checkpoint request from the tree of `old` entries on. */
  anchorFrom(old: number, size?: number): Promise<string> {
    const query = size === undefined ? {} : { size: String(size) };
    return this.text({ verb: 'GET', path: `/v1/anchors/${old}`, query });
  }

  /** Takes the anchors that a medium lacks along to it; the daemon must be able to write there. */
  carryAnchors(path: string, actor: string | null): Promise<CarriedAlong> {
    return this.json({ verb: 'POST', path: '/v1/anchors/carry', body: { path, actor } });
  }

  /** Records that anchors up to a size were taken to a medium. */
  carriedAnchors(size: number, actor: string | null): Promise<{ recorded: boolean }> {
    return this.json({ verb: 'POST', path: '/v1/anchors/carried', body: { size, actor } });
  }

  /** Takes in a cosigned checkpoint: what became of each witness's line. */
  importCosignatures(note: string): Promise<TakenCosignatures> {
    return this.json({ verb: 'POST', path: '/v1/anchors/cosignatures', body: { note } });
  }

  /** Takes the acknowledgements in `acknowledgements/` of a directory that the daemon can read. */
  takeAcknowledgements(path: string, options: CallOptions = {}): Promise<JsonObject> {
    const target = '/v1/outbox/acknowledgements';
    return this.json({ verb: 'POST', path: target, body: { path }, timeoutMs: 600_000, ...options });
  }

  /** The retention rule in force, archived segments, held decisions. */
  retention(): Promise<RetentionState> {
    return this.json({ verb: 'GET', path: '/v1/retention' });
  }

  /** Moves what the policy lets go into archive files, or says what would move. */
  prune(dryRun: boolean): Promise<PruneReport> {
    const body = { dry_run: dryRun };
    return this.json({ verb: 'POST', path: '/v1/retention/prune', body, timeoutMs: 3_600_000 });
  }

  /** Records that a true copy of an archive file lies elsewhere; the file here goes. */
  carryArchive(body: {
    first: number;
    sha256: string;
    to: string;
    actor?: { id: string };
  }): Promise<CarriedArchive> {
    return this.json({ verb: 'POST', path: '/v1/retention/carry', body });
  }

  holdDecision(body: HoldBody): Promise<{ decision: string; index: number }> {
    return this.json({ verb: 'POST', path: '/v1/retention/holds', body });
  }

  releaseDecision(body: HoldBody): Promise<{ decision: string; index: number }> {
    return this.json({ verb: 'POST', path: '/v1/retention/holds/release', body });
  }

  /** Puts a read of payload values, or an export, on record. Call it before showing anything of either. */
  disclose(body: DisclosureBody): Promise<Disclosed> {
    return this.json({ verb: 'POST', path: '/v1/ledger/disclose', body });
  }

  /** A page of what matches; it may be short or empty and still have a next one. */
  search(query: SearchCall): Promise<FoundPage> {
    return this.json({ verb: 'GET', path: '/v1/ledger/search', query: { ...query } });
  }

  /** The newest checkpoint, a signed note. */
  checkpoint(options: CallOptions = {}): Promise<string> {
    return this.text({ verb: 'GET', path: '/v1/ledger/checkpoint', ...options });
  }

  entries(
    query: { from?: number; limit?: number; read?: number } = {},
  ): Promise<{ entries: { index: number; entry: Entry }[]; size: number }> {
    return this.json({ verb: 'GET', path: '/v1/ledger/entries', query });
  }

  /** The C2SP tlog-proof of the entry at `index`, entry included; with `cosigned`, under the newest checkpoint that enough witnesses cosigned. */
  proof(index: number, options: { cosigned?: boolean; read?: number } = {}): Promise<string> {
    const { cosigned, read } = options;
    const query = { cosigned: cosigned === true ? 'true' : undefined, read };
    return this.text({ verb: 'GET', path: `/v1/ledger/proof/${index}`, query });
  }

  /** Everything that proves one decision, as a tar; the export is recorded before. */
  async evidence(body: {
    decision_id: string;
    reason: string;
    show?: string[];
    actor?: string;
  }): Promise<Uint8Array> {
    const reply = await this.transport.reply({
      verb: 'POST',
      path: '/v1/evidence',
      body,
      timeoutMs: 600_000,
    });
    return reply.bytes;
  }
}

/** A part of a path. */
export function part(id: string): string {
  return encodeURIComponent(id);
}
