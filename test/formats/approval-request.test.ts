import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ApprovalRequest,
  formatRequest,
  isRequest,
  parseRequest,
  REQUEST_MAX_BYTES,
  verifyRequest,
} from '../../daemon/formats/approval-request.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { formatProof, verifyProof } from '../../daemon/formats/tlog-proof.ts';
import { alice, ask, testBundle } from '../engine/bundle.ts';
import { EngineFixture, SITE } from '../engine/fixture.ts';

let fixture: EngineFixture;
let request: ApprovalRequest;
let bytes: Uint8Array;
let trust: { origin: string; vkeys: string[] };

beforeAll(() => {
  fixture = new EngineFixture(testBundle());
  for (let n = 0; n < 5; n += 1)
    fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:pump-1') });
  const decision = fixture.call('decisions.create', { json: ask('install_firmware', 'device:pump-1') }).body;
  const args = { id: String(decision.decision_id) };
  fixture.call('decisions.approve', { args, json: fixture.sign(alice, decision) });
  const { checkpoint, entries } = fixture.call('decisions.entries', { args }).body;
  const text = formatRequest({
    site: SITE,
    decision: args.id,
    checkpoint: String(checkpoint),
    entries: entries as unknown as ApprovalRequest['entries'],
    signers: [{ principal: 'bob', roles: ['safety_officer'], keys: ['SHA256:abc'] }],
  });
  bytes = new TextEncoder().encode(text);
  request = parseRequest(bytes);
  trust = { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] };
});
afterAll(() => fixture.close());

const refused = (code: string) => expect.objectContaining({ name: 'BoundaryError', code });
const changed = (change: (request: JsonObject) => void): Uint8Array => {
  const copy = structuredClone(request) as unknown as JsonObject;
  change(copy);
  return canonicalBytes(copy as Json);
};

describe('a request for approval', () => {
  it('is read, and holds what the ledger holds', () => {
    expect(request.entries.map(({ entry }) => entry.type)).toEqual([
      'decision.pending_authority',
      'approval.added',
    ]);
    expect(verifyRequest(request, trust)).toMatchObject({ origin: trust.origin, size: 10 });
    expect(isRequest(bytes)).toBe(true);
    expect(parseRequest(new Uint8Array([...bytes, 0x0a]))).toEqual(request);
  });

  it('gives each entry as a proof that other people’s tools check', () => {
    for (const { index, entry, proof } of request.entries) {
      const text = formatProof({
        index,
        extra: canonicalBytes(entry as unknown as Json),
        proof: proof.map((hash) => new Uint8Array(Buffer.from(hash, 'base64'))),
        checkpoint: request.checkpoint,
      });
      expect(verifyProof(text, trust).index).toBe(index);
    }
  });

  it('that was changed by one bit is never taken for what the ledger holds', () => {
    const { signers: _, ...told } = request;
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const copy = bytes.slice();
        copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        try {
          const read = parseRequest(copy);
          verifyRequest(read, trust);
          // Who could sign is advice and not proven; the checkpoint may carry signatures of others.
          const { signers: __, ...others } = read;
          expect({ ...others, checkpoint: '' }).toEqual({ ...told, checkpoint: '' });
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
        }
      }),
      { numRuns: 400 },
    );
  });

  it.each<[string, (request: JsonObject) => void]>([
    ['another site', (r) => Object.assign(r, { site: 'outpost-8.example' })],
    ['another decision', (r) => Object.assign(r, { decision: 'dec_x' })],
    ['no entries', (r) => Object.assign(r, { entries: [] })],
    ['not the first entry', (r) => (r.entries as Json[]).shift()],
    ['entries out of order', (r) => (r.entries as Json[]).reverse()],
    ['an entry twice', (r) => (r.entries as Json[]).push((r.entries as Json[])[1] ?? null)],
    ['too many entries', (r) => Object.assign(r, { entries: Array(65).fill(r.entries) })],
    ['a hash that is none', (r) => Object.assign((r.entries as JsonObject[])[0] ?? {}, { proof: ['AAAA'] })],
    [
      'a proof without end',
      (r) =>
        Object.assign((r.entries as JsonObject[])[0] ?? {}, { proof: Array(64).fill(`${'A'.repeat(43)}=`) }),
    ],
    ['a foreign member', (r) => Object.assign(r, { note: 'trust me' })],
    [
      'too many signers',
      (r) => Object.assign(r, { signers: Array(65).fill({ keys: [], principal: 'x', roles: [] }) }),
    ],
    [
      'a signer without a name',
      (r) => Object.assign(r, { signers: [{ keys: [], principal: '', roles: [] }] }),
    ],
    ['another version', (r) => Object.assign(r, { type: 'holdfast/approval-request/v2' })],
  ])('with %s is refused', (_name, change) => {
    expect(() => parseRequest(changed(change))).toThrow(refused('request.shape'));
  });

  it('is no larger than one can be, and canonical', () => {
    expect(() => parseRequest(new Uint8Array(REQUEST_MAX_BYTES + 1))).toThrow(refused('request.too_large'));
    expect(() => parseRequest(new TextEncoder().encode(JSON.stringify(request, null, 1)))).toThrow(
      refused('request.not_canonical'),
    );
    expect(() => parseRequest(new Uint8Array(0))).toThrow(refused('request.not_canonical'));
  });

  it('under another site’s keys, or with entries moved to other places, is refused', () => {
    const other = new EngineFixture(testBundle());
    try {
      expect(() => verifyRequest(request, { ...trust, vkeys: [other.vkey] })).toThrow(BoundaryError);
    } finally {
      other.close();
    }
    const moved = parseRequest(
      changed((r) => Object.assign((r.entries as JsonObject[])[0] ?? {}, { index: 1 })),
    );
    expect(() => verifyRequest(moved, trust)).toThrow(refused('request.not_included'));
  });
});
