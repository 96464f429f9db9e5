import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Members, readArchive, writeArchive } from '../../daemon/evidence/archive.ts';
import { renderReport } from '../../daemon/evidence/report.ts';
import { type EvidenceTrust, type Verification, verifyEvidence } from '../../daemon/evidence/verify.ts';
import { canonicalBytes, canonicalText } from '../../daemon/formats/canonical-json.ts';
import { fromBase64, sha256Hex } from '../../daemon/formats/digest.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import { formatSums, MEMBER, parseIndex } from '../../daemon/formats/evidence.ts';
import { statementBytes } from '../../daemon/formats/in-toto.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { formatVkey } from '../../daemon/formats/signed-note.ts';
import { formatProof, parseProof } from '../../daemon/formats/tlog-proof.ts';
import { EvidenceWorld } from './world.ts';

/*
 * Evidence in the hands of somebody who wants it to say something else: with the digests left alone, with the digests made
 * to fit, and with the site's statement taken away. Whatever is changed is named.
 */

let world: EvidenceWorld;
let members: Members;
let other: Members;
let shown: Members;
let trust: EvidenceTrust;
beforeAll(async () => {
  world = await EvidenceWorld.make();
  const firmware = await world.firmware();
  const network = await world.network();
  members = await readArchive((await world.export(firmware)).bytes);
  other = await readArchive((await world.export(network)).bytes);
  shown = await readArchive((await world.export(network, '--show', 'psk')).bytes);
  const { site, origin, vkeys, root } = JSON.parse(readFileSync(world.trust, 'utf8'));
  const keys = vkeys.map((vkey: string) => ({ vkey, from: 0, until: null }));
  trust = { site, logs: [{ origin, keys }], policy: null, root: fromBase64(root) };
}, 180_000);
afterAll(() => world.close());

type Change = (files: Map<string, Uint8Array>) => void;

async function judge(files: Members): Promise<Verification> {
  return verifyEvidence(await writeArchive(files), trust);
}

/** As somebody leaves it who changes a file and nothing else. */
function changed(from: Members, change: Change): Promise<Verification> {
  const files = new Map(from);
  change(files);
  return judge(files);
}

/** As somebody leaves it who has everything but the keys: digests made to fit, the site's statement replaced by one without a signature. */
function resealed(from: Members, change: Change): Promise<Verification> {
  const files = new Map(from);
  const payload = JSON.parse(Buffer.from(files.get(MEMBER.statement) ?? '').toString('utf8'))
    .payload as string;
  change(files);
  for (const name of [MEMBER.sums, MEMBER.statement]) files.delete(name);
  files.set(MEMBER.sums, formatSums(files));
  const stated = JSON.parse(Buffer.from(payload, 'base64').toString('utf8'));
  const subject = [...files].map(([name, bytes]) => ({ name, sha256: sha256Hex(bytes) }));
  const predicate = { ...stated.predicate };
  for (const name of ['inputAttestations', 'policy', 'disclosure', 'record', 'timeCreated'])
    if (name !== 'policy') delete predicate[name];
  files.set(MEMBER.unsigned, statementBytes({ subject, predicateType: stated.predicateType, predicate }));
  return judge(files);
}

const text = (files: Members, name: string): string => Buffer.from(files.get(name) ?? '').toString('utf8');
const named = ({ findings }: Verification): string[] => [...new Set(findings.map(({ file }) => file))];

/** The member whose name fits, of the entry that is told by `wanted`. */
function entryOf(
  files: Members,
  wanted: (entry: JsonObject & { data: JsonObject; type: string }) => boolean,
): string {
  const found = [...files.keys()].find(
    (name) => /^entries\/.*\.json$/.test(name) && wanted(JSON.parse(text(files, name))),
  );
  if (found === undefined) throw new Error('no such entry');
  return found;
}

/** Changes an entry, and its proof so that it carries the same bytes. */
function editEntry(
  files: Map<string, Uint8Array>,
  name: string,
  edit: (entry: JsonObject & { data: JsonObject }) => void,
): void {
  const entry = JSON.parse(text(files, name)) as JsonObject & { data: JsonObject };
  edit(entry);
  const bytes = canonicalBytes(entry);
  files.set(name, bytes);
  const proof = name.replace('.json', '.tlog-proof');
  files.set(proof, Buffer.from(formatProof({ ...parseProof(text(files, proof)), extra: bytes })));
}

describe('what is left alone', () => {
  it('holds', async () => {
    expect(await judge(members)).toMatchObject({ code: 0, findings: [] });
    expect(await judge(shown)).toMatchObject({ code: 0, findings: [] });
  });

  it('holds without the site’s statement too, and says so', async () => {
    const found = await resealed(members, () => {});
    expect(found).toMatchObject({ code: 0, findings: [] });
    expect(found.unproved.join(' ')).toContain('bears no signature of the site');
  });
});

describe('every file', () => {
  it('is named when one byte of it is another', async () => {
    for (const [name, bytes] of members) {
      const flipped = Buffer.from(bytes);
      const at = Math.floor(flipped.length / 2);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      const found = await changed(members, (files) => files.set(name, flipped));
      expect({ name, code: found.code === 0 ? 0 : 'found', named: named(found).includes(name) }).toEqual({
        name,
        code: 'found',
        named: true,
      });
    }
  });

  it('is missed when it is gone', async () => {
    for (const name of members.keys()) {
      const found = await changed(members, (files) => files.delete(name));
      expect({ name, code: found.code, named: named(found).length > 0 }).toEqual({
        name,
        code: 10,
        named: true,
      });
    }
  });

  it('is named when it comes from the evidence about another decision', async () => {
    const shared = [...members.keys()].filter(
      (name) => other.has(name) && sha256Hex(members.get(name) ?? '') !== sha256Hex(other.get(name) ?? ''),
    );
    expect(shared.length).toBeGreaterThan(3);
    for (const name of shared) {
      const found = await changed(members, (files) => files.set(name, other.get(name) ?? new Uint8Array()));
      expect({ name, code: found.code, named: named(found).includes(name) }).toEqual({
        name,
        code: 10,
        named: true,
      });
    }
  });

  it('that was put in is named', async () => {
    const found = await changed(members, (files) =>
      files.set('entries/000000999999.json', Buffer.from('{}')),
    );
    expect(found.code).toBe(10);
    expect(named(found)).toContain('entries/000000999999.json');
  });
});

describe('with digests made to fit, and no statement of the site', () => {
  const cases: [what: string, from: () => Members, change: Change, file: RegExp, field: string | null][] = [
    [
      'the intent of the request',
      () => members,
      (files) =>
        editEntry(
          files,
          entryOf(files, ({ type }) => type === 'decision.pending_authority'),
          ({ data }) => {
            data.action = { ...(data.action as JsonObject), intent: 'something harmless' };
          },
        ),
      /^entries\/.*\.json$/,
      null,
    ],
    [
      'who asked',
      () => members,
      (files) =>
        editEntry(
          files,
          entryOf(files, ({ type }) => type === 'decision.pending_authority'),
          (entry) => {
            entry.actor = { id: 'carol', role: 'L4' };
          },
        ),
      /^entries\/.*\.json$/,
      null,
    ],
    [
      'the result of the tool',
      () => members,
      (files) =>
        editEntry(
          files,
          entryOf(files, ({ type }) => type === 'permit.outcome'),
          ({ data }) => {
            data.result = 'failed';
          },
        ),
      /^entries\/.*\.json$/,
      null,
    ],
    [
      'an approval taken out',
      () => members,
      (files) => {
        const name = entryOf(files, ({ type }) => type === 'approval.added');
        const at = Number(/\d+/.exec(name)?.[0]);
        for (const one of [
          name,
          name.replace('.json', '.tlog-proof'),
          `acts/${String(at).padStart(12, '0')}.json`,
          `acts/${String(at).padStart(12, '0')}.sig`,
        ])
          files.delete(one);
        const index = parseIndex(files.get(MEMBER.index) ?? new Uint8Array());
        const entries = index.entries.filter((entry) => entry.index !== at);
        files.set(MEMBER.index, canonicalBytes({ ...index, entries } as unknown as JsonObject));
      },
      /^entries\/.*\.json$/,
      '/seq',
    ],
    [
      'a proof of another entry',
      () => members,
      (files) => {
        const [first = '', second = ''] = [...files.keys()].filter((name) => name.endsWith('.tlog-proof'));
        files.set(first, files.get(second) ?? new Uint8Array());
      },
      /^entries\/.*\.tlog-proof$/,
      'index',
    ],
    [
      'what a person signed',
      () => members,
      (files) => {
        const name = [...files.keys()].find((one) => /^acts\/\d+\.json$/.test(one)) ?? '';
        files.set(name, Buffer.from(text(files, name).replace('looked at it', 'never saw it')));
      },
      /^acts\/\d+\.json$/,
      null,
    ],
    [
      'whose signature it is',
      () => members,
      (files) => {
        const [first = '', second = ''] = [...files.keys()].filter((name) => name.endsWith('.sig'));
        files.set(first, files.get(second) ?? new Uint8Array());
      },
      /^acts\/\d+\.sig$/,
      null,
    ],
    [
      'a key among those of the people',
      () => members,
      (files) =>
        files.set(MEMBER.signers, Buffer.from(text(files, MEMBER.signers).replace(/^alice /m, 'dave '))),
      /^acts\/allowed_signers$/,
      null,
    ],
    [
      'the rules',
      () => members,
      (files) => {
        const name = [...files.keys()].find((one) => one.startsWith('policy/targets/bundles/')) ?? '';
        const bundle = JSON.parse(text(files, name)) as JsonObject;
        files.set(name, Buffer.from(canonicalText({ ...bundle, gates: [] })));
      },
      /^policy\/targets\/bundles\//,
      null,
    ],
    [
      'what headquarters pinned for the site',
      () => members,
      (files) => {
        const name = [...files.keys()].find((one) => one.startsWith('policy/targets/sites/')) ?? '';
        files.set(name, Buffer.from(text(files, name).replace('"serial":1', '"serial":2')));
      },
      /^policy\//,
      null,
    ],
    [
      'a signature of headquarters',
      () => members,
      (files) => {
        const name = 'policy/metadata/timestamp.json';
        files.set(
          name,
          Buffer.from(
            text(files, name).replace(/"sig": ?"(..)/, (whole, first) =>
              whole.replace(first, first === '00' ? '11' : '00'),
            ),
          ),
        );
      },
      /^policy\/metadata\/timestamp\.json$/,
      null,
    ],
    [
      'a value that is shown',
      () => shown,
      (files) => {
        const { field, salt } = JSON.parse(text(files, 'disclosed/psk.json'));
        files.set('disclosed/psk.json', canonicalBytes({ field, salt, value: 'another' }));
      },
      /^disclosed\/psk\.json$/,
      '/value',
    ],
    [
      'the reason of the export',
      () => members,
      (files) =>
        files.set(MEMBER.index, Buffer.from(text(files, MEMBER.index).replace('audit 7', 'audit 8'))),
      /^evidence\.json$/,
      '/export',
    ],
    [
      'the size of the tree',
      () => members,
      (files) =>
        files.set(
          MEMBER.index,
          Buffer.from(text(files, MEMBER.index).replace(/"tree_size":\d+/, '"tree_size":7')),
        ),
      /^evidence\.json$/,
      '/tree_size',
    ],
    [
      'what the signers had seen',
      () => members,
      (files) => {
        const [name = ''] = [...files.keys()].filter((one) => one.startsWith('ledger/consistency/'));
        const lines = text(files, name).split('\n');
        [lines[1], lines[2]] = [lines[2] ?? '', lines[1] ?? ''];
        files.set(name, Buffer.from(lines.join('\n')));
      },
      /^(entries|ledger\/consistency)\//,
      null,
    ],
  ];

  it.each(cases)('%s is not changed unnoticed', async (_what, from, change, file, field) => {
    const { code, findings } = await resealed(from(), change);
    const hit = findings.find((one) => file.test(one.file) && (field === null || one.field === field));
    expect({ refused: code === 10 || code === 13, hit: hit !== undefined, findings }).toMatchObject({
      refused: true,
      hit: true,
    });
  });

  it('entries of any shape are an answer, and a page that can be shown', async () => {
    const names = [...members.keys()].filter((name) => /^entries\/.*\.json$/.test(name));
    const part = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constant({ payload: {}, target: null }),
      fc.constant({ reasons: [], required: [] }),
    );
    const member = fc.constantFrom(
      'action',
      'context',
      'policy',
      'gates',
      'risk',
      'authority',
      'enforcement',
      'transitions',
      'act',
      'signature',
      'permit',
      'detail',
      'answer',
      'principal',
      'stops',
      'breakglass',
      'linked_to',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.dictionary(member, part, { minKeys: 1, maxKeys: 3 }),
        async (name, edits) => {
          const found = await resealed(members, (files) =>
            editEntry(files, name, (entry) => {
              entry.data = { ...entry.data, ...(JSON.parse(JSON.stringify(edits)) as JsonObject) };
            }),
          );
          expect(found.code).not.toBe(0);
          expect(
            renderReport(found, { made_at: '2026-11-21T08:00:00.000Z', sha256: '', trust: '' }),
          ).toContain('</html>');
        },
      ),
      { numRuns: 120 },
    );
  }, 120_000);

  it('a statement by a key that was rotated out is worth nothing', async () => {
    const [log] = trust.logs;
    const [key] = log?.keys ?? [];
    const next = formatVkey(log?.origin ?? '', ed25519Signer(new Uint8Array(32).fill(3)).publicKey);
    const logs = [
      {
        origin: log?.origin ?? '',
        keys: [
          { vkey: key?.vkey ?? '', from: 0, until: 2 },
          { vkey: next, from: 1, until: null },
        ],
      },
    ];
    const found = await verifyEvidence(await writeArchive(members), { ...trust, logs });
    expect(found.code).toBe(13);
    expect(named(found)).toEqual(expect.arrayContaining([MEMBER.checkpoint, MEMBER.statement]));
  });

  it('somebody else’s log, in the same name, is signed by an unknown key', async () => {
    const dir = join(world.stage.dir, 'forged');
    await world.stage.holdfast('init', '--site', trust.site ?? '', '--profile', 'dev', '--dir', dir);
    const file = join(world.stage.dir, 'forged.json');
    await world.stage.holdfast('site', 'export-trust', file, '--dir', dir);
    const { origin, vkeys, root } = JSON.parse(readFileSync(file, 'utf8'));
    const logs = [{ origin, keys: vkeys.map((vkey: string) => ({ vkey, from: 0, until: null })) }];
    const bytes = await writeArchive(members);
    const other = await verifyEvidence(bytes, { ...trust, logs });
    expect(other.code).toBe(13);
    expect(named(other)).toContain('ledger/checkpoint');
    const rooted = await verifyEvidence(bytes, { ...trust, root: fromBase64(root) });
    expect(rooted).toMatchObject({ code: 13 });
    expect(named(rooted)).toEqual(['policy/metadata/timestamp.json']);
  });
});
