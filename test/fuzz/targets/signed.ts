import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  ACKNOWLEDGEMENT_TYPE,
  signAcknowledgement,
  verifyAcknowledgement,
} from '../../../daemon/formats/acknowledgement.ts';
import { toBase64 } from '../../../daemon/formats/digest.ts';
import { parseEnvelope, signEnvelope, verifyEnvelope } from '../../../daemon/formats/dsse.ts';
import { ed25519Signer } from '../../../daemon/formats/ed25519.ts';
import { ENTRY_TYPES } from '../../../daemon/formats/entry.ts';
import {
  IN_TOTO_TYPE,
  openStatement,
  parseStatement,
  signStatement,
  statementBytes,
} from '../../../daemon/formats/in-toto.ts';
import {
  formatManifest,
  MANIFEST_NAMESPACE,
  openManifest,
  parseManifestText,
  sealManifest,
} from '../../../daemon/formats/manifest.ts';
import { encodePrivateKey, parsePrivateKey, publicBlobOf } from '../../../daemon/formats/openssh-key.ts';
import {
  PROVISIONING_TYPE,
  parseProvisioning,
  provisioningBytes,
  signersOf,
  verifyProvisioning,
} from '../../../daemon/formats/provisioning.ts';
import { RECEIPT_TYPE, type Receipt, signReceipt, verifyReceipt } from '../../../daemon/formats/receipt.ts';
import { parseVkey } from '../../../daemon/formats/signed-note.ts';
import {
  ed25519Blob,
  fingerprint,
  parseKeyBlob,
  parsePublicKeyLine,
  publicKeyType,
} from '../../../daemon/formats/ssh-public-key.ts';
import { armor, SshReader, unarmor } from '../../../daemon/formats/ssh-wire.ts';
import { parseSshSignature, signSshsig, verifySshSignature } from '../../../daemon/formats/sshsig.ts';
import { parseStrict } from '../../../daemon/formats/strict-json.ts';
import {
  addCountersignature,
  trustEnvelope,
  verifyCountersignatures,
} from '../../../daemon/formats/trust-envelope.ts';
import { FakeLog } from '../../fake-log.ts';
import { FakeLog as EntryLog } from '../../gateway/fake-engine.ts';
import { vectorsDir } from '../../vectors/dir.ts';
import { bytes, refusedAs, type Target, text } from '../target.ts';

/* Signatures: SSH's, DSSE's, and what is inside the envelopes, signed by a key that is believed and lies. */

const SEED = new Uint8Array(32).fill(4);
const key = ed25519Signer(SEED);
const blob = ed25519Blob(key.publicKey);
const MESSAGE = Buffer.from('what is signed');
const NAMESPACE = 'approval@holdfast';
const sshsig = signSshsig({ seed: SEED, publicKey: key.publicKey, message: MESSAGE, namespace: NAMESPACE });
const LINE = `ssh-ed25519 ${toBase64(blob)} alice@outpost`;

/** Published keys and signatures of every kind, where they are at hand. */
function published(ending: string): string[] {
  const dir = vectorsDir();
  if (dir === null) return [];
  const folder = join(dir, 'sshsig');
  return readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** Ours, and the published ones: under each message and namespace. */
const signedThings = [
  { message: MESSAGE as Uint8Array, namespace: NAMESPACE },
  ...published('signed-data').map((data, i) => ({
    message: Buffer.from(data, 'utf8'),
    namespace: (published('namespace')[i] ?? '').trim(),
  })),
];

function verifyAny(input: string): unknown {
  const verified = signedThings.map((thing) => verifySshSignature({ armor: input, ...thing }));
  return verified.find(({ ok }) => ok) ?? refusedAs(verified.map((one) => (one.ok ? '' : one.code)).join());
}

const ssh: Target[] = [
  text('ssh-public-key', {
    covers: ['parsePublicKeyLine', 'publicKeyType', 'parseKeyBlob'],
    seeds: [LINE, ...published('.pub')],
    read(input) {
      const parsed = parsePublicKeyLine(input);
      publicKeyType(parsed.blob);
      return [parsed, parseKeyBlob(parsed.blob)];
    },
  }),
  bytes('ssh-key-blob', {
    covers: ['parseKeyBlob', 'fingerprint'],
    seeds: [blob, ...published('.pub').map((line) => Buffer.from(line.split(' ')[1] ?? '', 'base64'))],
    read(input) {
      fingerprint(input);
      return parseKeyBlob(input) ?? refusedAs('unsupported');
    },
  }),
  text('sshsig', {
    covers: ['parseSshSignature', 'unarmor'],
    seeds: [sshsig, ...published('.sig')],
    read: parseSshSignature,
  }),
  text('sshsig-verify', {
    covers: ['verifySshSignature', 'webauthnMessage'],
    seeds: [sshsig, ...published('.sig')],
    read: verifyAny,
  }),
  bytes('sshsig-body', {
    covers: ['verifySshSignature'],
    // Behind the armor, so that every change is one of the signature's own bytes.
    seeds: [sshsig, ...published('.sig')].map(
      (one) => unarmor('SSH SIGNATURE', one, 65_536) ?? new Uint8Array(),
    ),
    read: (input) => verifyAny(armor('SSH SIGNATURE', input)),
  }),
  text('ssh-private-key', {
    covers: ['parsePrivateKey', 'publicBlobOf'],
    seeds: [encodePrivateKey({ seed: SEED, comment: 'alice' })],
    read(input) {
      publicBlobOf(input);
      return parsePrivateKey(input);
    },
    write: encodePrivateKey,
  }),
  bytes('ssh-private-key-body', {
    covers: ['parsePrivateKey'],
    seeds: [
      unarmor('OPENSSH PRIVATE KEY', encodePrivateKey({ seed: SEED, comment: 'alice' }), 65_536) ??
        new Uint8Array(),
    ],
    read: (input) => parsePrivateKey(armor('OPENSSH PRIVATE KEY', input)),
  }),
  bytes('ssh-wire', {
    covers: ['SshReader'],
    seeds: [blob],
    read(input) {
      const reader = new SshReader(input, 'sshkey.malformed');
      return [reader.text(), reader.string(), reader.end()];
    },
  }),
];

const DSSE_TYPE = 'application/vnd.example+json';
const dsseText = signEnvelope(DSSE_TYPE, Buffer.from('{"a":1}'), [{ keyid: 'k', sign: key.sign }]);
const log = new FakeLog().grow(3);
const vkey = parseVkey(log.signer.vkey);
const STATEMENT = {
  subject: [{ name: 'README.txt', sha256: 'ab'.repeat(32) }],
  predicateType: 'urn:holdfast:predicate:evidence:v1',
  predicate: { v: 1 },
};
const ACKNOWLEDGEMENT = {
  v: 1,
  site: 'outpost-7.example',
  file: 'receipts/outpost-7.example-000000000003.json',
  sha256: 'cd'.repeat(32),
  received_at: '2026-11-21T08:00:00Z',
} as const;

/** An envelope that the believed key signed over whatever payload. */
function sealed(type: string, payload: Uint8Array): string {
  return signEnvelope(type, payload, [{ keyid: `${vkey.name}+${vkey.keyId}`, sign: log.signer.sign }]);
}

const LEDGER_SEED = new Uint8Array(32).fill(1);
const APPLIED = {
  update_id: 'u',
  site_target: { serial: 1 },
  repository: { root: 1, timestamp: 1, snapshot: 1, targets: 1 },
  environments: {},
  source: 'stick',
  who: 'alice',
  flips: null,
};

function receipt(): { receipt: Receipt; vkey: string } {
  const entries = new EntryLog(log.origin, LEDGER_SEED);
  entries.append('policy.applied', 'policy', APPLIED);
  const proof = entries.proof(0);
  const checkpoint = proof.slice(proof.indexOf('\n\n') + 2);
  return {
    vkey: entries.vkey,
    receipt: {
      v: 1,
      site: 'outpost-7.example',
      profile: 'dev',
      result: 'applied',
      code: null,
      reason: null,
      source: 'stick',
      who: 'alice',
      record_id: 0,
      at: new Date(entries.now).toISOString(),
      time_trust: 'trusted',
      in_force: { update_id: 'u', serial: 1, repository: APPLIED.repository, environments: {} },
      flips: null,
      checkpoint,
      proof,
    },
  };
}

const made = receipt();
const receiptTrust = { site: 'outpost-7.example', vkeys: [made.vkey] };
const ackTrust = { site: 'outpost-7.example', keys: [log.signer.vkey] };
const trustText = addCountersignature(Buffer.from('{"v":1}'), [], { keyid: 'hq', sign: key.sign });

const PROVISIONED = provisioningBytes({
  v: 1,
  site: 'outpost-7.example',
  profile: 'appliance',
  issued_at: '2026-11-01T00:00:00Z',
  policy: { production: 'base@1' },
  files: { 'root.json': 'ab'.repeat(32), 'holdfast.json': 'cd'.repeat(32) },
});
const HEADQUARTERS = {
  keys: [{ id: 'hq', name: 'headquarters', publicKey: key.publicKey }],
  threshold: 1,
};

const MANIFEST = formatManifest({
  version: '0.1.0',
  platform: 'linux-x64',
  files: new Map([['holdfast', { sha256: 'ab'.repeat(32), size: 119_671_616 }]]),
});

function sealedManifest(lines: string): string {
  const message = Buffer.from(lines);
  const namespace = MANIFEST_NAMESPACE;
  return sealManifest(lines, signSshsig({ seed: SEED, publicKey: key.publicKey, namespace, message }));
}

const envelopes: Target[] = [
  text('manifest', {
    covers: ['openManifest'],
    seeds: [sealedManifest(MANIFEST)],
    read: (input) => openManifest(input, LINE),
  }),
  text('manifest-lines', {
    covers: ['parseManifestText', 'openManifest'],
    seeds: [MANIFEST],
    read(input) {
      parseManifestText(input);
      return openManifest(sealedManifest(input), LINE);
    },
    write: formatManifest,
  }),
  bytes('provisioning-payload', {
    covers: ['parseProvisioning', 'verifyProvisioning'],
    seeds: [PROVISIONED],
    read(input) {
      const envelope = signEnvelope(PROVISIONING_TYPE, input, [{ keyid: 'hq', sign: key.sign }]);
      const carried = parseProvisioning(Buffer.from(envelope));
      signersOf(carried.envelope, HEADQUARTERS);
      verifyProvisioning(carried, HEADQUARTERS);
      return carried.list;
    },
    write: provisioningBytes,
  }),
  text('dsse', {
    covers: ['parseEnvelope', 'verifyEnvelope'],
    seeds: [dsseText],
    read(input) {
      const envelope = parseEnvelope(input);
      return verifyEnvelope(envelope, { payloadType: DSSE_TYPE, keys: [key.publicKey], threshold: 1 });
    },
    words: ['"keyid":null', '-_-_', '===='],
  }),
  text('in-toto', {
    covers: ['openStatement'],
    seeds: [signStatement(STATEMENT, log.signer)],
    read: (input) => openStatement(input, [vkey]),
  }),
  bytes('in-toto-payload', {
    covers: ['parseStatement'],
    seeds: [statementBytes(STATEMENT)],
    read(input) {
      parseStatement(input);
      return openStatement(sealed(IN_TOTO_TYPE, input), [vkey]).statement;
    },
    write: statementBytes,
  }),
  text('receipt', {
    covers: ['verifyReceipt'],
    seeds: [signReceipt(made.receipt, log.signer)],
    read: (input) => verifyReceipt(input, receiptTrust),
  }),
  bytes('receipt-payload', {
    covers: ['verifyReceipt'],
    seeds: [Buffer.from(JSON.stringify(made.receipt))],
    read: (input) => verifyReceipt(sealed(RECEIPT_TYPE, input), receiptTrust),
  }),
  text('receipt-entry', {
    covers: ['verifyReceipt'],
    // A lying site's record, and its receipt about it.
    seeds: [JSON.stringify({ type: 'policy.applied', data: APPLIED, receipt: made.receipt })],
    read(input) {
      const { type, data, receipt: said } = Object(parseStrict(input, { maxBytes: 65_536, maxDepth: 10 }));
      if (!Object.hasOwn(ENTRY_TYPES, type) || typeof data !== 'object' || data === null)
        return refusedAs('no entry');
      const entries = new EntryLog(log.origin, LEDGER_SEED);
      entries.append(type, 'policy', data);
      const proof = entries.proof(0);
      const receipt = { ...Object(said), proof, checkpoint: proof.slice(proof.indexOf('\n\n') + 2) };
      return verifyReceipt(sealed(RECEIPT_TYPE, Buffer.from(JSON.stringify(receipt))), receiptTrust);
    },
  }),
  text('acknowledgement', {
    covers: ['verifyAcknowledgement'],
    seeds: [signAcknowledgement(ACKNOWLEDGEMENT, log.signer)],
    read: (input) => verifyAcknowledgement(input, ackTrust),
  }),
  bytes('acknowledgement-payload', {
    covers: ['verifyAcknowledgement'],
    seeds: [parseEnvelope(signAcknowledgement(ACKNOWLEDGEMENT, log.signer)).payload],
    read: (input) => verifyAcknowledgement(sealed(ACKNOWLEDGEMENT_TYPE, input), ackTrust),
  }),
  text('trust-envelope', {
    covers: ['trustEnvelope', 'verifyCountersignatures'],
    seeds: [trustText],
    read(input) {
      const envelope = trustEnvelope(input);
      if (envelope === null) return refusedAs('plain');
      return verifyCountersignatures(envelope, {
        keys: [{ id: 'hq', name: 'headquarters', publicKey: key.publicKey }],
        threshold: 1,
      });
    },
  }),
];

export async function targets(): Promise<Target[]> {
  return [...ssh, ...envelopes];
}
