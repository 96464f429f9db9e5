import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EvidenceTrust, type Verification, verifyEvidence } from '../../daemon/evidence/verify.ts';
import { fromBase64 } from '../../daemon/formats/digest.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { type LyingSite, lyingSite } from './lying-site.ts';
import { EvidenceWorld } from './world.ts';

/* What the rules and people's signatures catch where the site itself is the liar: its log is genuine in every byte. */

let world: EvidenceWorld;
let site: LyingSite & { entries: Entry[] };
beforeAll(async () => {
  world = await EvidenceWorld.make();
  const { bytes } = await world.export(await world.firmware());
  const { site: name, origin, root } = JSON.parse(readFileSync(world.trust, 'utf8'));
  const trust: EvidenceTrust = {
    site: name,
    logs: [{ origin, keys: [] }],
    policy: null,
    root: fromBase64(root),
  };
  site = await lyingSite(bytes, trust);
}, 120_000);
afterAll(() => world.close());

type Told = Entry & { data: JsonObject };

/** What the verifier says when the site tells it like this. The signers' own checkpoints are of another log, so those always object. */
async function told(tell: (entries: Told[]) => Told[]): Promise<Verification> {
  const entries = tell(structuredClone(site.entries) as Told[]);
  return verifyEvidence(await site.export(entries, { padding: 40 }), site.trust);
}

const SEEN = '/data/act/seen_checkpoint';
const beside = ({ findings }: Verification) => findings.filter(({ field }) => field !== SEEN);
const step = (found: Verification, what: string) => found.checks.find((check) => check.what === what)?.result;

describe('a site that lies', () => {
  it('is believed only as far as those who signed had seen its history', async () => {
    const found = await told((entries) => entries);
    expect(beside(found)).toEqual([]);
    expect(found.code).toBe(10);
    expect(found.findings.map(({ message }) => message).join(' ')).toContain('another history');
    expect(step(found, 'The log signed its head')).toBe('holds');
  });

  it('cannot have fewer entries than a signer had seen', async () => {
    const found = await verifyEvidence(await site.export(site.entries.slice(0, 3)), site.trust);
    expect(found.findings.map(({ message }) => message).join(' ')).toContain('rolled back');
    expect(found.code).toBe(14);
  });

  const of = (type: string) => (entry: Told) => entry.type === type;
  const lies: [what: string, tell: (entries: Told[]) => Told[], field: string, words: RegExp][] = [
    [
      'that the rules had allowed it at once',
      (entries) => {
        const first = entries.find(of('decision.pending_authority'));
        const granted = entries.findLast(of('approval.added'));
        if (first === undefined || granted === undefined) throw new Error('told otherwise');
        const { permit } = granted.data;
        first.type = 'decision.authorized';
        first.data = {
          ...first.data,
          enforcement: { result: 'allow', reasons: ['Nobody has to sign.'] },
          transitions: ['draft', 'evaluated', 'authorized'],
          authority: { required: [], route: null },
          permit: permit ?? null,
        };
        return entries.filter((entry) => !entry.type.startsWith('approval.'));
      },
      '/data',
      /another verdict/,
    ],
    [
      'that one signature was enough',
      (entries) =>
        entries.filter(
          (entry, at) => !(entry.type === 'approval.added' && at === entries.findIndex(of('approval.added'))),
        ),
      '/data/transitions',
      /authority that the policy asks for is not complete/,
    ],
    [
      'that it was somebody else who signed',
      (entries) =>
        entries.map((entry) =>
          entry.type === 'approval.added' ? { ...entry, data: { ...entry.data, principal: 'carol' } } : entry,
        ),
      '/data/principal',
      /counts as carol's/,
    ],
    [
      'that they signed in another role',
      (entries) =>
        entries.map((entry) =>
          entry.type === 'approval.added' ? { ...entry, data: { ...entry.data, role: 'L5' } } : entry,
        ),
      '/data/role',
      /counts as L5/,
    ],
    [
      'that the same signature came twice',
      (entries) =>
        entries.flatMap((entry) =>
          entry.type === 'approval.added' && entry.data.permit === undefined
            ? [entry, structuredClone(entry)]
            : [entry],
        ),
      '/data/nonce',
      /again/,
    ],
    [
      'that a person approved another request',
      (entries) =>
        entries.map((entry) =>
          entry.type === 'decision.pending_authority'
            ? {
                ...entry,
                data: {
                  ...entry.data,
                  action: { ...(entry.data.action as JsonObject), intent: 'something else' },
                },
              }
            : entry,
        ),
      '/data/action',
      /not that of the action/,
    ],
    [
      'that the permit was for another call',
      (entries) =>
        entries.map((entry) => {
          const permit = entry.data.permit as JsonObject | undefined;
          if (permit === undefined) return entry;
          const call = { ...(permit.call as JsonObject), argv: ['/bin/true'] };
          return { ...entry, data: { ...entry.data, permit: { ...permit, call } } };
        }),
      '/data/permit/call',
      /something else than the decision/,
    ],
    [
      'that the permit worked twice',
      (entries) =>
        entries.flatMap((entry) =>
          entry.type === 'permit.redeemed' ? [entry, structuredClone(entry)] : [entry],
        ),
      '/type',
      /could take this step/,
    ],
    [
      'that the risk was low',
      (entries) =>
        entries.map((entry) =>
          entry.type === 'decision.pending_authority'
            ? { ...entry, data: { ...entry.data, risk: { band: 'low', score: 0.1, reasons: [] } } }
            : entry,
        ),
      '/data',
      /risk band/,
    ],
    [
      'that a gate had passed',
      (entries) =>
        entries.map((entry) =>
          entry.type === 'decision.pending_authority'
            ? { ...entry, data: { ...entry.data, gates: [{ id: 'made-up', result: 'fail', reason: 'x' }] } }
            : entry,
        ),
      '/data',
      /gates/,
    ],
  ];

  it.each(lies)('%s: is found out', async (_what, tell, field, words) => {
    const found = await told(tell);
    const hit = beside(found).find((finding) => finding.field === field && words.test(finding.message));
    expect({ code: found.code, hit: hit !== undefined, findings: beside(found) }).toMatchObject({
      code: 10,
      hit: true,
    });
    expect(step(found, 'The entries are in the log')).toBe('holds');
    expect(step(found, 'No entry in between is missing')).toBe('holds');
  });

  it('that the policy was in force before it was signed, or after it had expired: is found out', async () => {
    const found = await told((entries) =>
      entries.map((entry) =>
        entry.type === 'policy.applied' ? { ...entry, at: '2099-01-01T00:00:00.000Z' } : entry,
      ),
    );
    expect(
      beside(found)
        .map(({ message }) => message)
        .join(' '),
    ).toMatch(/expired/);
  });
});
