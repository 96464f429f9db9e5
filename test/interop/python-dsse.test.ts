import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex } from '../../daemon/formats/digest.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import {
  type EvidenceIndex,
  evidenceStatement,
  formatIndex,
  proofMember,
} from '../../daemon/formats/evidence.ts';
import { signStatement } from '../../daemon/formats/in-toto.ts';
import { formatVkey, parseVkey } from '../../daemon/formats/signed-note.ts';
import { temporaryDir } from '../host/temporary.ts';
import { pythonWith } from './python.ts';
import { run } from './run.ts';

const venv = mkdtempSync(join(tmpdir(), 'holdfast-python-dsse-'));
const python = await pythonWith(venv, ['securesystemslib[crypto]==1.4.0', 'in-toto-attestation==0.9.3']);

afterAll(() => rmSync(venv, { recursive: true, force: true }));

const NAME = 'outpost-7.example/ledger';
const { publicKey, sign } = ed25519Signer(new Uint8Array(32).fill(7));
const vkey = formatVkey(NAME, publicKey);
const keyid = `${NAME}+${parseVkey(vkey).keyId}`;

const index: EvidenceIndex = {
  v: 1,
  type: 'holdfast/evidence/v1',
  site: 'outpost-7.example',
  origin: NAME,
  decision: 'dec_01990000-0000-7000-8000-000000000000',
  tree_size: 9,
  entries: [
    {
      index: 7,
      role: 'decision',
      type: 'decision.denied',
      stream: 'dec_01990000-0000-7000-8000-000000000000',
    },
  ],
  policy: null,
  fields: { disclosed: [], withheld: ['psk'], shredded: [] },
  omitted: 0,
  unsearched: 0,
  export: { record: 8, at: '2026-11-21T08:00:00.000Z', by: 'carol', reason: 'audit' },
};
const members = new Map([
  ['evidence.json', formatIndex(index)],
  [proofMember(7), Buffer.from('proof')],
]);
const envelope = signStatement(
  evidenceStatement(members, {
    index,
    version: '1.2.3',
    status: 'denied',
    result: 'deny',
    action_digest: 'ab'.repeat(32),
    root_hash: 'cd'.repeat(32),
  }),
  { name: NAME, vkey, sign },
);

describe.skipIf(python === null)(
  'securesystemslib and in-toto for Python (skipped where pip cannot bring them)',
  () => {
    const check = (text: string, key = toHex(publicKey)) => {
      const file = join(temporaryDir(), 'statement.dsse.json');
      writeFileSync(file, text);
      return run(python ?? '', [
        fileURLToPath(new URL('./python/dsse.py', import.meta.url)),
        file,
        keyid,
        key,
      ]);
    };

    it('verify our envelope and read our statement', async () => {
      const { code, stdout, stderr } = await check(envelope);
      expect(stderr + code).toBe('0');
      expect(JSON.parse(stdout)).toMatchObject({
        predicateType: 'urn:holdfast:predicate:evidence:v1',
        subjects: { 'evidence.json': expect.stringMatching(/^[0-9a-f]{64}$/) },
      });
    });

    it('refuse another key, and another payload', async () => {
      expect(
        (await check(envelope, 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')).code,
      ).not.toBe(0);
      const { payload, ...rest } = JSON.parse(envelope) as { payload: string };
      const other = Buffer.from(payload, 'base64').toString('utf8').replace('outpost-7', 'outpost-8');
      expect(
        (await check(JSON.stringify({ ...rest, payload: Buffer.from(other).toString('base64') }))).code,
      ).not.toBe(0);
    });
  },
);
