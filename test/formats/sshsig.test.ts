import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import { encodePrivateKey, parsePrivateKey } from '../../daemon/formats/openssh-key.ts';
import { ed25519Blob, fingerprint } from '../../daemon/formats/ssh-public-key.ts';
import { armor, concat, sshString, sshUint32, unarmor } from '../../daemon/formats/ssh-wire.ts';
import {
  parsePublicKeyLine,
  parseSshSignature,
  signSshsig,
  verifySshSignature,
} from '../../daemon/formats/sshsig.ts';
import { vectorsDir } from '../vectors/dir.ts';

const dir = vectorsDir();
const vector = (name: string) => readFileSync(join(dir ?? '', 'sshsig', name), 'utf8');
const seed = new Uint8Array(32).fill(11);
const publicKey = publicKeyOf(seed);
const message = new TextEncoder().encode('This is a test, this is only a test');
const namespace = 'approval@holdfast';
const own = signSshsig({ seed, publicKey, namespace, message });

describe.skipIf(dir === null)('published SSHSIG vectors', () => {
  test.each([
    ['ed25519', 'ssh-ed25519', undefined],
    ['ed25519_sk', 'sk-ssh-ed25519@openssh.com', 1],
    ['ecdsa', 'ecdsa-sha2-nistp256', undefined],
    ['ecdsa_sk', 'sk-ecdsa-sha2-nistp256@openssh.com', 1],
    ['ecdsa_sk_webauthn', 'sk-ecdsa-sha2-nistp256@openssh.com', 1],
    ['rsa', 'ssh-rsa', undefined],
  ])('%s', (name, type, flags) => {
    const key = parsePublicKeyLine(vector(`${name}.pub`));
    const data = new Uint8Array(Buffer.from(vector('signed-data')));
    const input = { armor: vector(`${name}.sig`), message: data, namespace: vector('namespace') };
    const verified = verifySshSignature(input);
    expect(verified).toMatchObject({ ok: true, type, key: key.fingerprint, publicKey: key.blob });
    expect(verified.ok && verified.flags).toBe(flags);
    expect(verifySshSignature({ ...input, key: key.blob }).ok).toBe(true);
    expect(verifySshSignature({ ...input, namespace: 'other' })).toEqual({
      ok: false,
      code: 'wrong_namespace',
    });
    expect(verifySshSignature({ ...input, key: ed25519Blob(publicKey) })).toEqual({
      ok: false,
      code: 'wrong_key',
    });
    const changed = data.slice();
    changed[0] = (changed[0] ?? 0) ^ 1;
    expect(verifySshSignature({ ...input, message: changed })).toEqual({ ok: false, code: 'bad_signature' });
  });

  test('the flags and counter of a security key are what it signed', () => {
    const bytes = unarmor('SSH SIGNATURE', vector('ed25519_sk.sig'), 1 << 16) ?? new Uint8Array();
    for (const fromEnd of [5, 1]) {
      const changed = bytes.slice();
      changed[bytes.length - fromEnd] = (changed[bytes.length - fromEnd] ?? 0) ^ 4;
      const text = armor('SSH SIGNATURE', changed);
      const data = new Uint8Array(Buffer.from(vector('signed-data')));
      expect(verifySshSignature({ armor: text, message: data, namespace: 'unittest' })).toMatchObject({
        code: 'bad_signature',
      });
    }
  });

  test('a hybrid post-quantum key is said to be unsupported', () => {
    const input = { armor: vector('mldsa44-ed25519.sig'), message, namespace: vector('namespace') };
    expect(verifySshSignature(input)).toEqual({ ok: false, code: 'unsupported' });
  });

  test('a signature made by ssh-keygen', () => {
    const { blob } = parsePublicKeyLine(vector('cli-sample/alice.pub'));
    const input = {
      armor: vector('cli-sample/payload.json.sig'),
      message: new Uint8Array(Buffer.from(vector('cli-sample/payload.json'))),
      namespace: 'approval@example.org',
      key: blob,
    };
    expect(verifySshSignature(input).ok).toBe(true);
  });

  test('any flipped bit: no verdict but no, and no exception', () => {
    for (const name of ['ecdsa', 'ecdsa_sk_webauthn', 'rsa', 'ed25519_sk']) {
      const bytes = unarmor('SSH SIGNATURE', vector(`${name}.sig`), 1 << 16) ?? new Uint8Array();
      const data = new Uint8Array(Buffer.from(vector('signed-data')));
      fc.assert(
        fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
          const changed = bytes.slice();
          changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          const text = armor('SSH SIGNATURE', changed);
          expect(verifySshSignature({ armor: text, message: data, namespace: 'unittest' }).ok).toBe(false);
        }),
        { numRuns: 60 },
      );
    }
  });
});

describe('own signatures', () => {
  test('verify, for their message, namespace and key only', () => {
    const blob = ed25519Blob(publicKey);
    expect(verifySshSignature({ armor: own, message, namespace })).toEqual({
      ok: true,
      key: fingerprint(blob),
      type: 'ssh-ed25519',
      publicKey: blob,
    });
    expect(verifySshSignature({ armor: own, message: Uint8Array.of(1), namespace })).toEqual({
      ok: false,
      code: 'bad_signature',
    });
    expect(verifySshSignature({ armor: own, message, namespace: 'review@holdfast' })).toEqual({
      ok: false,
      code: 'wrong_namespace',
    });
  });

  test('windows line ends and missing final newlines do no harm', () => {
    for (const text of [own.replaceAll('\n', '\r\n'), own.trimEnd(), `${own}\n\n`]) {
      expect(verifySshSignature({ armor: text, message, namespace }).ok).toBe(true);
    }
  });

  test('every prefix and every changed character', () => {
    for (let end = 0; end < own.trimEnd().length; end += 1) {
      expect(verifySshSignature({ armor: own.slice(0, end), message, namespace }).ok).toBe(false);
    }
    fc.assert(
      fc.property(
        fc.nat(own.trimEnd().length - 1),
        fc.constantFrom('A', '/', '=', ' ', '\n', 'é'),
        (at, char) => {
          fc.pre(own[at] !== char && !(own[at] === '\n' && char === ' '));
          const changed = own.slice(0, at) + char + own.slice(at + 1);
          expect(verifySshSignature({ armor: changed, message, namespace }).ok).toBe(false);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('need a namespace', () => {
    expect(() => signSshsig({ seed, publicKey, namespace: '', message })).toThrow(RangeError);
  });
});

describe('SSHSIG blobs that somebody built', () => {
  const blob = (over: {
    magic?: string;
    version?: number;
    namespace?: string;
    hash?: string;
    tail?: number[];
  }) =>
    armor(
      'SSH SIGNATURE',
      concat(
        new TextEncoder().encode(over.magic ?? 'SSHSIG'),
        sshUint32(over.version ?? 1),
        sshString(ed25519Blob(publicKey)),
        sshString(over.namespace ?? namespace),
        sshString(''),
        sshString(over.hash ?? 'sha512'),
        sshString(concat(sshString('ssh-ed25519'), sshString(new Uint8Array(64)))),
        Uint8Array.from(over.tail ?? []),
      ),
    );

  test('parse as what they are', () => {
    expect(parseSshSignature(blob({}))).toMatchObject({ namespace, hash: 'sha512' });
    expect(verifySshSignature({ armor: blob({}), message, namespace })).toEqual({
      ok: false,
      code: 'bad_signature',
    });
  });

  test.each([
    ['another magic', { magic: 'SSHXIG' }],
    ['another version', { version: 2 }],
    ['no namespace', { namespace: '' }],
    ['a weak hash', { hash: 'sha1' }],
    ['bytes at the end', { tail: [0] }],
  ])('%s', (_, over) => {
    expect(() => parseSshSignature(blob(over))).toThrow(
      expect.objectContaining({ code: 'sshsig.malformed' }),
    );
    expect(verifySshSignature({ armor: blob(over), message, namespace }).ok).toBe(false);
  });

  test('a flood of base64 is refused unread', () => {
    const text = armor('SSH SIGNATURE', new Uint8Array(1 << 20));
    expect(verifySshSignature({ armor: text, message, namespace })).toEqual({ ok: false, code: 'malformed' });
  });
});

describe('public key lines', () => {
  const line = `ssh-ed25519 ${Buffer.from(ed25519Blob(publicKey)).toString('base64')} op alice`;

  test('type, blob, comment, fingerprint', () => {
    expect(parsePublicKeyLine(`${line}\n`)).toMatchObject({ type: 'ssh-ed25519', comment: 'op alice' });
    expect(parsePublicKeyLine(line.split(' ').slice(0, 2).join(' ')).comment).toBe('');
  });

  test.each([
    '',
    'ssh-ed25519',
    `cert-authority ${line}`,
    line.replace('ssh-ed25519', 'ssh-rsa'),
    `${line}\n${line}`,
    `ssh-ed25519 ${'A'.repeat(20_000)}`,
    'ssh-ed25519 AAAA',
    'ssh-ed25519 /////w==',
  ])('%j', (bad) => {
    expect(() => parsePublicKeyLine(bad)).toThrow(BoundaryError);
  });
});

describe('with the real ssh-keygen', () => {
  let home = '';
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'sshsig-'));
  });
  afterAll(() => {
    rmSync(home, { recursive: true, force: true });
  });

  function keygen(args: string[], input = ''): { status: number | null; stdout: string } {
    const { status, stdout } = spawnSync('ssh-keygen', args, {
      cwd: home,
      input,
      encoding: 'utf8',
      timeout: 120_000,
    });
    return { status, stdout };
  }

  test('it reads our private key, verifies our signature, and refuses it for another message', () => {
    const pem = encodePrivateKey({ seed, comment: 'op alice' });
    writeFileSync(join(home, 'ours'), pem, { mode: 0o600 });
    const line = keygen(['-y', '-f', 'ours']).stdout;
    expect(parsePublicKeyLine(line)).toMatchObject({ blob: ed25519Blob(publicKey), comment: 'op alice' });
    expect(keygen(['-l', '-f', 'ours']).stdout).toContain(fingerprint(ed25519Blob(publicKey)));
    writeFileSync(join(home, 'allowed'), `alice ${line}`);
    writeFileSync(join(home, 'own.sig'), own);
    const verify = ['-Y', 'verify', '-f', 'allowed', '-I', 'alice', '-n', namespace, '-s', 'own.sig'];
    expect(keygen(verify, Buffer.from(message).toString()).status).toBe(0);
    expect(keygen(verify, 'something else').status).not.toBe(0);
  });

  test('it signs with our key to our bytes', () => {
    writeFileSync(join(home, 'same'), encodePrivateKey({ seed, comment: '' }), { mode: 0o600 });
    writeFileSync(join(home, 'message'), message);
    expect(keygen(['-Y', 'sign', '-f', 'same', '-n', namespace, 'message']).status).toBe(0);
    expect(readFileSync(join(home, 'message.sig'), 'utf8')).toBe(own);
  });

  test.each([
    ['ed25519', []],
    ['ecdsa', ['-b', '256']],
    ['ecdsa', ['-b', '384']],
    ['ecdsa', ['-b', '521']],
    ['rsa', ['-b', '2048']],
  ])('we verify its %s %j signatures', (type, bits) => {
    const name = `theirs-${type}${bits.join('')}`;
    expect(keygen(['-q', '-t', type, ...bits, '-N', '', '-C', 'bob', '-f', name]).status).toBe(0);
    writeFileSync(join(home, `${name}.msg`), message);
    expect(keygen(['-Y', 'sign', '-f', name, '-n', namespace, `${name}.msg`]).status).toBe(0);
    const key = parsePublicKeyLine(readFileSync(join(home, `${name}.pub`), 'utf8'));
    const armored = readFileSync(join(home, `${name}.msg.sig`), 'utf8');
    expect(verifySshSignature({ armor: armored, message, namespace, key: key.blob })).toMatchObject({
      ok: true,
      key: key.fingerprint,
    });
    const pem = readFileSync(join(home, name), 'utf8');
    if (type === 'ed25519') {
      expect(ed25519Blob(parsePrivateKey(pem).publicKey)).toEqual(key.blob);
    } else {
      expect(() => parsePrivateKey(pem)).toThrow(expect.objectContaining({ code: 'sshkey.type' }));
    }
  });

  test('an RSA key below 2048 bits is weak, and a key under a passphrase is left alone', () => {
    keygen(['-q', '-t', 'rsa', '-b', '1024', '-N', '', '-f', 'weak']);
    writeFileSync(join(home, 'w.msg'), message);
    keygen(['-Y', 'sign', '-f', 'weak', '-n', namespace, 'w.msg']);
    const armored = readFileSync(join(home, 'w.msg.sig'), 'utf8');
    expect(verifySshSignature({ armor: armored, message, namespace })).toEqual({
      ok: false,
      code: 'weak_key',
    });
    keygen(['-q', '-t', 'ed25519', '-a', '1', '-N', 'open sesame', '-f', 'locked']);
    const locked = readFileSync(join(home, 'locked'), 'utf8');
    expect(() => parsePrivateKey(locked)).toThrow(expect.objectContaining({ code: 'sshkey.encrypted' }));
  });
});
