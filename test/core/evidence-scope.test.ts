import { describe, expect, it } from 'vitest';
import { type EvidenceLedger, findMentions, type Mentions } from '../../daemon/core/evidence-mentions.ts';
import { gatherEvidence, MENTIONS_MAX } from '../../daemon/core/evidence-scope.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { type Entry, type EntryType, encodeEntry, entryHash } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';

/* Which entries belong to the evidence about a decision, on ledgers made up of nothing but entries. */

const dec = (n: number): string => `dec_0199${String(n).padStart(4, '0')}-0000-7000-8000-000000000000`;
const ID = dec(1);
const DIGEST = 'ab'.repeat(32);

type Line = [stream: string, type: EntryType, data?: JsonObject];

class FakeLedger implements EvidenceLedger {
  readonly origin = 'outpost-7.example/ledger';
  readonly #stored: { index: number; stream: string; bytes: Uint8Array }[] = [];
  /** Indexes of entries whose archive file is elsewhere. */
  readonly gone = new Set<number>();

  constructor(lines: readonly Line[]) {
    const heads = new Map<string, { seq: number; hash: string }>();
    for (const [index, [stream, type, data = {}]] of lines.entries()) {
      const before = heads.get(stream);
      const entry: Entry = {
        v: 1,
        site: 'outpost-7.example',
        type,
        at: '2026-11-21T08:00:00.000Z',
        time_trust: 'floor',
        stream,
        seq: before === undefined ? 0 : before.seq + 1,
        prev: before?.hash ?? null,
        actor: { id: null, role: null },
        data,
      };
      const bytes = encodeEntry(entry);
      heads.set(stream, { seq: entry.seq, hash: entryHash(bytes) });
      this.#stored.push({ index, stream, bytes });
    }
  }

  get size(): number {
    return this.#stored.length;
  }
  checkpoint(): string {
    return 'note';
  }
  entry(index: number): Uint8Array | null {
    if (this.gone.has(index)) throw new BoundaryError('archive.elsewhere', 'It is elsewhere.');
    return this.#stored[index]?.bytes ?? null;
  }
  entries(from: number, limit: number): { index: number; bytes: Uint8Array }[] {
    const range = this.#stored.slice(from, from + limit);
    for (const { index } of range) this.entry(index);
    return range;
  }
  stream(id: string, newest = Number.POSITIVE_INFINITY): { index: number; bytes: Uint8Array }[] {
    const all = this.#stored.filter(({ stream }) => stream === id);
    return all.slice(Math.max(0, all.length - newest));
  }
  inclusionProof(): Uint8Array[] {
    return [];
  }
  consistencyProof(): Uint8Array[] {
    return [];
  }
}

function search(ledger: EvidenceLedger, id = ID, limit = 3): Omit<Mentions, 'next'> {
  const all = { found: [] as number[], unsearched: 0 };
  for (let next: number | null = 0; next !== null; ) {
    const page: Mentions = findMentions(ledger, id, { from: next, limit });
    all.found.push(...page.found);
    all.unsearched += page.unsearched;
    next = page.next;
  }
  return all;
}

function gathered(lines: readonly Line[]): string[] {
  const ledger = new FakeLedger(lines);
  const found = gatherEvidence(ledger, ID, search(ledger));
  return (found?.entries ?? []).map(({ index, role }) => `${index} ${role}`);
}

const first = (data: JsonObject = {}): JsonObject => ({
  policy: { digest: DIGEST, version: 'p@1' },
  context: { environment: 'production' },
  ...data,
});
const applied = (digest: string, more: JsonObject = {}): JsonObject => ({
  update_id: 'u',
  environments: { production: { digest }, staging: { digest: DIGEST } },
  ...more,
});

describe('what belongs to a decision', () => {
  it('is its own stream, and the newest entry that put its policy in force before it', () => {
    const lines: Line[] = [
      ['system', 'system.initialized'],
      ['policy', 'policy.applied', applied('cd'.repeat(32))],
      ['policy', 'policy.applied', applied(DIGEST)],
      ['policy', 'policy.applied', applied(DIGEST)],
      ['policy', 'policy.refused'],
      [ID, 'decision.pending_authority', first()],
      [dec(2), 'decision.denied', first()],
      [ID, 'approval.added'],
      ['policy', 'policy.applied', applied(DIGEST)],
    ];
    expect(gathered(lines)).toEqual(['3 policy', '5 decision', '7 decision']);
  });

  it('and how a held update was released, with the acts', () => {
    const hold = { hold: { id: 'h1' } };
    const lines: Line[] = [
      ['policy', 'policy.held', hold],
      ['policy', 'policy.held', { hold: { id: 'h2' } }],
      ['policy', 'policy.approved', hold],
      ['policy', 'policy.applied', applied(DIGEST, hold)],
      [ID, 'decision.denied', first()],
    ];
    expect(gathered(lines)).toEqual(['0 policy', '2 policy', '3 policy', '4 decision']);
  });

  it('and the decisions that it goes back to, and those that go back to it, whole', () => {
    const lines: Line[] = [
      [dec(3), 'decision.denied', first()],
      [dec(2), 'decision.denied', first({ linked_to: dec(3) })],
      [ID, 'decision.denied', first({ linked_to: dec(2) })],
      [dec(4), 'decision.pending_authority', first({ linked_to: ID })],
      [dec(5), 'decision.denied', first({ linked_to: dec(4) })],
      [dec(4), 'decision.expired'],
    ];
    expect(gathered(lines)).toEqual(['0 linked', '1 linked', '2 decision', '3 linked', '5 linked']);
  });

  it('and links that lead in a circle end', () => {
    const lines: Line[] = [
      [ID, 'decision.denied', first({ linked_to: dec(2) })],
      [dec(2), 'decision.denied', first({ linked_to: ID })],
    ];
    expect(gathered(lines)).toEqual(['0 decision', '1 linked']);
  });

  it('and the session that it was asked under, with the grant behind that', () => {
    const lines: Line[] = [
      ['grant_1', 'grant.issued'],
      ['bg_1', 'breakglass.activated', { grant: { id: 'grant_1' } }],
      ['bg_2', 'breakglass.activated'],
      [ID, 'decision.authorized', first({ breakglass: { id: 'bg_1' } })],
      ['bg_1', 'breakglass.ended'],
    ];
    expect(gathered(lines)).toEqual(['0 grant', '1 breakglass', '3 decision', '4 breakglass']);
  });

  it('and incidents that held it back or name it, and whatever else names it or its permit', () => {
    const lines: Line[] = [
      ['inc_1', 'incident.opened'],
      ['inc_2', 'incident.opened'],
      [ID, 'decision.denied', first({ stops: [{ cause: 'incident', incident: 'inc_1' }] })],
      ['inc_3', 'incident.opened', { evidence: { permit_id: ID.replace('dec_', 'prm_') } }],
      ['inc_3', 'incident.cleared'],
      ['anomalies', 'anomaly.detected', { decision: ID }],
      ['anomalies', 'anomaly.detected', { decision: dec(2) }],
      ['reading', 'ledger.read', { subject: { decision_id: ID } }],
    ];
    expect(gathered(lines)).toEqual([
      '0 incident',
      '2 decision',
      '3 incident',
      '4 incident',
      '5 mention',
      '7 mention',
    ]);
  });

  it('and changes of the ledger’s key, and suspensions of those who signed', () => {
    const lines: Line[] = [
      [ID, 'decision.pending_authority', first()],
      [ID, 'approval.added', { key: 'SHA256:a', principal: 'alice' }],
      ['keys', 'key.suspended', { suspended: 'SHA256:b' }],
      ['keys', 'key.suspended', { suspended: 'alice' }],
      ['keys', 'key.rotated', { name: 'ledger' }],
      ['keys', 'key.rotated', { name: 'envelope' }],
      ['keys', 'key.reinstated', { reinstated: 'SHA256:a' }],
    ];
    expect(gathered(lines)).toEqual(['0 decision', '1 decision', '3 keys', '4 keys', '6 keys']);
  });

  it('is nothing where there is no such decision, or something else by that name', () => {
    expect(
      gatherEvidence(new FakeLedger([['system', 'system.initialized']]), ID, { found: [], unsearched: 0 }),
    ).toBeNull();
    expect(
      gatherEvidence(new FakeLedger([['system', 'system.initialized']]), 'system', {
        found: [],
        unsearched: 0,
      }),
    ).toBeNull();
  });
});

describe('the search for what names it', () => {
  const lines: Line[] = [
    [ID, 'decision.denied', first()],
    ...Array.from(
      { length: 20 },
      (_, at): Line => ['reading', 'ledger.read', at % 2 === 0 ? { subject: ID } : {}],
    ),
  ];

  it('finds the same in steps of any size', () => {
    const ledger = new FakeLedger(lines);
    for (const limit of [1, 2, 7, 21, 100])
      expect(search(ledger, ID, limit)).toEqual({
        found: [1, 3, 5, 7, 9, 11, 13, 15, 17, 19],
        unsearched: 0,
      });
  });

  it('goes on where entries are elsewhere, and counts them', () => {
    const ledger = new FakeLedger(lines);
    for (const index of [2, 3, 4]) ledger.gone.add(index);
    expect(search(ledger, ID, 7)).toEqual({ found: [1, 5, 7, 9, 11, 13, 15, 17, 19], unsearched: 3 });
    expect(gatherEvidence(ledger, ID, search(ledger))?.unsearched).toBe(3);
  });

  it('keeps the evidence to a size that people can look at', () => {
    const many: Line[] = [
      [ID, 'decision.denied', first()],
      ...Array.from({ length: MENTIONS_MAX + 5 }, (): Line => ['reading', 'ledger.read', { subject: ID }]),
    ];
    const ledger = new FakeLedger(many);
    const found = gatherEvidence(ledger, ID, search(ledger, ID, 50));
    expect({ entries: found?.entries.length, omitted: found?.omitted }).toEqual({
      entries: MENTIONS_MAX + 1,
      omitted: 5,
    });
  });
});
