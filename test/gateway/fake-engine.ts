import {
  ApiProblem,
  ApiUnreachable,
  type DecisionReply,
  type DecisionRequestBody,
  type OpenPermit,
  type PolicyUpdate,
  type Redeemed,
} from '../../daemon/api/client.ts';
import { type Bundle, parseBundle } from '../../daemon/core/bundle.ts';
import { normalizeRequest } from '../../daemon/core/normalize.ts';
import { redactPayload, type SealedValues } from '../../daemon/core/sensitive.ts';
import { deriveCall } from '../../daemon/core/template.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { publicKeyOf, signEd25519 } from '../../daemon/formats/ed25519.ts';
import { type Entry, encodeEntry, entryHash } from '../../daemon/formats/entry.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { inclusionRanges, leafHash, rootOf } from '../../daemon/formats/merkle.ts';
import { actionDigest, type Permit } from '../../daemon/formats/permit.ts';
import { formatVkey, signNote } from '../../daemon/formats/signed-note.ts';
import { formatProof } from '../../daemon/formats/tlog-proof.ts';
import type { OutcomeDetail, RunResult } from '../../daemon/gateway/connectors/run.ts';
import type { EnginePort, Finding } from '../../daemon/gateway/engine-port.ts';
import { randomBytes, uuidv7 } from '../../daemon/host/random.ts';

export const SITE = 'outpost-7.example';
export const NOW = Date.parse('2026-11-21T08:00:00.000Z');
const SEED = new Uint8Array(32).fill(7);

/** A log with real entries, a real tree and real signatures; slow, for small numbers of entries. */
export class FakeLog {
  readonly origin: string;
  readonly vkey: string;
  readonly leaves: Uint8Array[] = [];
  now = NOW;
  #seed: Uint8Array;
  #heads = new Map<string, { seq: number; prev: string | null }>();

  constructor(origin = `${SITE}/ledger`, seed: Uint8Array = SEED) {
    this.origin = origin;
    this.#seed = seed;
    this.vkey = formatVkey(origin, publicKeyOf(seed));
  }

  append(type: Entry['type'], stream: string, data: JsonObject, more: Partial<Entry> = {}): number {
    const head = this.#heads.get(stream) ?? { seq: 0, prev: null };
    const at = new Date(this.now).toISOString();
    const entry: Entry = {
      v: 1,
      site: SITE,
      type,
      at,
      time_trust: 'trusted',
      stream,
      ...head,
      actor: { id: 'agent:ops-1', role: null },
      data,
      ...more,
    };
    const bytes = encodeEntry(entry);
    this.#heads.set(stream, { seq: head.seq + 1, prev: entryHash(bytes) });
    return this.leaves.push(bytes) - 1;
  }

  proof(index: number, size = this.leaves.length): string {
    const hashes = this.leaves.slice(0, size).map((leaf) => leafHash(leaf));
    const text = formatCheckpoint({ origin: this.origin, size, root: rootOf(hashes) });
    const proof = inclusionRanges(index, size).map(({ start, end }) => rootOf(hashes.slice(start, end)));
    const signer = {
      name: this.origin,
      vkey: this.vkey,
      sign: (bytes: Uint8Array) => signEd25519(this.#seed, bytes),
    };
    const extra = this.leaves[index] ?? new Uint8Array();
    return formatProof({ index, extra, proof, checkpoint: signNote(text, [signer]) });
  }
}

/** A small bundle of one action class, `run_tool`, which runs the tool named `tool`. */
export function testBundle(tools: Bundle['tools']): { bundle: Bundle; digest: string; bytes: Uint8Array } {
  const bytes = canonicalBytes({
    schema: 'holdfast/bundle/v1',
    metadata: {
      name: 'test',
      version: 1,
      description: 'test',
      issued_at: '2026-11-01T00:00:00Z',
      sites: [SITE],
      freshness: { warn_after: '10d', escalate_after: '20d', deny_after: '30d' },
    },
    environments: { production: { description: 'p' }, staging: { description: 's' } },
    actions: {
      run_tool: {
        description: 'runs',
        target: { type: 'service', id_pattern: '[a-z0-9-]+' },
        payload: {
          word: { type: 'string', max_length: 100 },
          psk: { type: 'string', sensitive: true, max_length: 100 },
        },
        base_risk: 0.1,
        tool: 'tool',
      },
    },
    tools: tools as unknown as Json,
    gates: [],
    risk: { factors: [], bands: [{ band: 'low', below: 2 }] },
    authority: { routes: [] },
    principals: {},
  });
  return { ...parseBundle(bytes), bytes };
}

/** What a test may bend, one step each. Everything it does not bend is done right. */
export interface Bend {
  status?: DecisionReply['status'];
  /** The permit before it is written into the entry, and then signed. */
  permit?: (permit: Permit) => Permit;
  entry?: (entry: { type: Entry['type']; data: JsonObject; more: Partial<Entry> }) => void;
  permitProof?: (proof: string) => string;
  redemption?: (parts: {
    data: JsonObject;
    more: Partial<Entry>;
    type: Entry['type'];
    stream: string;
  }) => void;
  redemptionProof?: (proof: string) => string;
  sensitive?: (values: SealedValues) => Redeemed['sensitive'];
  beforeRedeem?: () => void;
  afterRedeem?: () => void;
  beforeOutcome?: () => void;
  beforeReport?: () => void;
}

/** An engine that says yes to everything, with real proofs; it distrusts nobody, so the gateway has to. */
export class FakeEngine implements EnginePort {
  readonly log: FakeLog;
  readonly policy: { bundle: Bundle; digest: string };
  bend: Bend = {};
  readonly decisions = new Map<string, DecisionReply>();
  readonly redeemed: string[] = [];
  readonly outcomes: { permit: string; result: RunResult; detail: OutcomeDetail }[] = [];
  #sealed = new Map<string, SealedValues>();

  constructor(policy: { bundle: Bundle; digest: string }, log = new FakeLog()) {
    this.policy = policy;
    this.log = log;
    log.append('system.initialized', 'system', {});
  }

  async createDecision(body: DecisionRequestBody): Promise<DecisionReply> {
    const request = normalizeRequest(body as JsonObject);
    const uuid = uuidv7(this.log.now);
    const id = `dec_${uuid}`;
    const actionClass = this.policy.bundle.actions[request.action.class ?? ''];
    if (actionClass === undefined) throw new Error('the fake engine knows no such class');
    const { payload, sealed } = redactPayload(request.action.payload, actionClass, () => randomBytes(32));
    this.#sealed.set(`prm_${uuid}`, sealed);
    const action = { ...request.action, payload };
    const environment = request.context.environment ?? 'production';
    const permit = this.#permit(uuid, action, environment);
    const data: JsonObject = {
      transitions: ['draft', 'evaluated', 'authorized'],
      action: action as unknown as Json,
      context: { ...request.context, environment } as unknown as Json,
      action_digest: permit.action_digest,
      policy: { version: 'test@1', digest: this.policy.digest },
      enforcement: { result: 'allow', reasons: [] },
      permit: permit as unknown as Json,
    };
    const parts = { type: 'decision.authorized' as Entry['type'], data, more: {} };
    this.bend.entry?.(parts);
    const index = this.log.append(parts.type, id, parts.data, parts.more);
    const proof = this.bend.permitProof?.(this.log.proof(index)) ?? this.log.proof(index);
    const decision = {
      decision_id: id,
      action_digest: permit.action_digest,
      status: this.bend.status ?? 'authorized',
      action,
      context: { ...request.context, environment },
      enforcement: { default: 'deny', result: 'allow', allow_if: [], reasons: [] },
      permit: { ...permit, proof },
    } as unknown as DecisionReply;
    this.decisions.set(id, decision);
    return structuredClone(decision);
  }

  #permit(
    uuid: string,
    action: {
      class: string | null;
      intent: string | null;
      target: { type: string; id: string } | null;
      payload: JsonObject;
    },
    environment: string,
  ): Permit {
    const permit: Permit = {
      id: `prm_${uuid}`,
      decision_id: `dec_${uuid}`,
      audience: 'gateway',
      action_digest: actionDigest(
        action as unknown as { class: Json; intent: Json; target: Json; payload: Json },
      ),
      policy_digest: this.policy.digest,
      tool: this.policy.bundle.actions[action.class ?? '']?.tool ?? '',
      call: deriveCall(this.policy.bundle, action, environment, `dec_${uuid}`),
      environment,
      target: action.target ?? { type: '', id: '' },
      profile: 'dev',
      not_before: new Date(this.log.now - 1_000).toISOString(),
      expires_at: new Date(this.log.now + 60_000).toISOString(),
    };
    return this.bend.permit?.(permit) ?? permit;
  }

  async getDecision(id: string): Promise<DecisionReply> {
    const decision = this.decisions.get(id);
    if (decision === undefined) throw refusal(404, 'decision.not_found');
    return structuredClone(decision);
  }

  async redeem(permitId: string, action_digest: string): Promise<Redeemed> {
    this.bend.beforeRedeem?.();
    if (this.redeemed.includes(permitId)) throw refusal(409, 'permit.already_redeemed');
    this.redeemed.push(permitId);
    const decision_id = permitId.replace('prm_', 'dec_');
    const parts = {
      type: 'permit.redeemed' as Entry['type'],
      stream: decision_id,
      data: { transitions: [], permit_id: permitId, audience: 'gateway', action_digest } as JsonObject,
      more: {},
    };
    this.bend.redemption?.(parts);
    const index = this.log.append(parts.type, parts.stream, parts.data, parts.more);
    const proof = this.bend.redemptionProof?.(this.log.proof(index)) ?? this.log.proof(index);
    const sealed = this.#sealed.get(permitId) ?? {};
    const sensitive =
      this.bend.sensitive === undefined ? sealed : this.bend.sensitive(structuredClone(sealed));
    this.bend.afterRedeem?.();
    return {
      permit_id: permitId,
      decision_id,
      redeemed_at: new Date(this.log.now).toISOString(),
      proof,
      sensitive,
    };
  }

  async outcome(permitId: string, result: RunResult, detail: OutcomeDetail): Promise<DecisionReply> {
    this.bend.beforeOutcome?.();
    if (!this.redeemed.includes(permitId)) throw refusal(409, 'permit.not_redeemed');
    if (this.outcomes.some(({ permit }) => permit === permitId)) throw refusal(409, 'permit.outcome_known');
    this.outcomes.push({ permit: permitId, result, detail });
    const decision = this.decisions.get(permitId.replace('prm_', 'dec_'));
    if (decision === undefined) throw refusal(404, 'permit.not_found');
    decision.status = 'executed';
    return structuredClone(decision);
  }

  async openPermits(): Promise<OpenPermit[]> {
    return this.redeemed
      .filter((id) => !this.outcomes.some(({ permit }) => permit === id))
      .map((permit_id) => ({ permit_id, decision_id: permit_id.replace('prm_', 'dec_'), redeemed_at: '' }));
  }

  /** Files of the publisher's repository, when a test has one. */
  repository: Record<string, string> = {};

  async policyUpdate(): Promise<PolicyUpdate> {
    return { update_id: '', files: this.repository };
  }

  async newestUpdate(): Promise<PolicyUpdate> {
    return this.policyUpdate();
  }

  /** What the gateway found wrong. */
  readonly findings: Finding[] = [];

  async reportIncident(finding: Finding): Promise<void> {
    this.bend.beforeReport?.();
    this.findings.push(finding);
  }

  async ready(): Promise<{ ready: boolean; reason: string | null }> {
    return { ready: true, reason: null };
  }

  close(): void {}
}

export function refusal(status: number, code: string): ApiProblem {
  return new ApiProblem(status, { status, code, detail: code });
}

export function unreachable(sent: boolean): ApiUnreachable {
  return new ApiUnreachable(sent ? 'closed' : 'missing', 'The daemon does not answer.', { sent });
}
