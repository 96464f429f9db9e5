import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { findKek } from '../../daemon/host/kek.ts';
import { wrapKeyFiles } from '../../daemon/host/key-files.ts';
import { keyEncryptionKey, readKey, wrappedUnder, writeKey } from '../../daemon/host/key-wrap.ts';
import { randomBytes } from '../../daemon/host/random.ts';
import { createSealingKey, loadSealer } from '../../daemon/host/sealer.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';

const roots: string[] = [];
function directory(): string {
  const root = mkdtempSync(join(tmpdir(), 'hf-wrap-'));
  roots.push(root);
  return root;
}
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

const kek = keyEncryptionKey(new Uint8Array(32).fill(7), 'test');
const other = keyEncryptionKey(new Uint8Array(32).fill(8), 'test');
const SECRETS = { kek_file: null, credentials: null, rotate_envelope: null };

describe('a wrapped key file', () => {
  it('gives back what went in, and holds nothing of it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), (secret) => {
        const path = join(directory(), 'key');
        writeKey(path, secret, 'signing', kek);
        expect(readKey(path, 200, 'signing', kek)).toEqual(secret);
        expect(readFileSync(path).includes(Buffer.from(secret))).toBe(false);
        expect(readFileSync(path).includes(Buffer.from(secret).toString('base64'))).toBe(false);
      }),
      { numRuns: 25 },
    );
  });

  it('opens for its own purpose, under its own KEK, only', () => {
    const path = join(directory(), 'key');
    writeKey(path, randomBytes(32), 'envelope-1', kek);
    expect(() => readKey(path, 32, 'envelope-2', kek)).toThrow(/the key for envelope-1, not for envelope-2/);
    expect(() => readKey(path, 32, 'envelope-1', other)).toThrow(/wrapped under .* the one at hand is/);
    expect(() => readKey(path, 32, 'envelope-1', null)).toThrow(/is not here/);
  });

  it('notices every flipped bit', () => {
    const path = join(directory(), 'key');
    const secret = randomBytes(32);
    writeKey(path, secret, 'sealing', kek);
    const whole = readFileSync(path);
    for (let bit = 0; bit < whole.length * 8; bit += 3) {
      const changed = Buffer.from(whole);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(path, changed);
      // A first line that is no longer one leaves bytes that are no key.
      const opened = (): Uint8Array => readKey(path, 32, 'sealing', kek);
      expect(opened).toThrow();
    }
  });

  it('carries the signing key and the envelope keys of a site', () => {
    const root = directory();
    const { vkey } = createSigningKey(join(root, 'ledger.key'), 'x.example/ledger', kek);
    expect(loadSigner(join(root, 'ledger.key'), kek).vkey).toBe(vkey);
    createSealingKey(join(root, 'sealing.key'), kek);
    const sealer = loadSealer(join(root, 'sealing.key'), kek);
    const sealed = sealer.seal(Buffer.from('0451'), 'dec_1');
    sealer.make(1);
    sealer.use(1);
    const moved = { ...sealed, ...sealer.rewrap(sealed, 'dec_1') };
    sealer.retireBefore(1);
    for (const name of readdirSync(root))
      expect(wrappedUnder(readFileSync(join(root, name)))?.kek).toBe(kek.id);
    expect(readdirSync(root).sort()).toEqual(['digest.key', 'envelope-1.key', 'ledger.key']);
    const again = loadSealer(join(root, 'sealing.key'), kek);
    expect(Buffer.from(again.open(moved, 'dec_1')).toString()).toBe('0451');
    expect(again.mac(Buffer.from('x'))).toBe(sealer.mac(Buffer.from('x')));
    expect(() => again.open(sealed, 'dec_1')).toThrow(/epoch 0 is not in/);
    expect(() => loadSealer(join(root, 'sealing.key'), other)).toThrow(/the one at hand is/);
  });
});

describe('wrapping the files of a site', () => {
  function site(): string {
    const root = directory();
    createSigningKey(join(root, 'ledger.key'), 'x.example/ledger');
    createSealingKey(join(root, 'sealing.key'));
    writeFileSync(join(root, 'tls-authority.key'), 'PEM', { mode: 0o600 });
    writeFileSync(join(root, 'notes.txt'), 'mine', { mode: 0o600 });
    return root;
  }

  it('takes every key once, leaves what is no key, and moves all to another KEK', () => {
    const root = site();
    const { vkey } = loadSigner(join(root, 'ledger.key'));
    expect(wrapKeyFiles(root, kek, null)).toEqual(['ledger.key', 'sealing.key', 'tls-authority.key']);
    expect(wrapKeyFiles(root, kek, null)).toEqual([]);
    expect(readFileSync(join(root, 'notes.txt'), 'utf8')).toBe('mine');
    expect(loadSigner(join(root, 'ledger.key'), kek).vkey).toBe(vkey);
    expect(() => wrapKeyFiles(root, other, null)).toThrow(/Name the file of that key with --from/);
    expect(wrapKeyFiles(root, other, kek)).toHaveLength(3);
    expect(loadSigner(join(root, 'ledger.key'), other).vkey).toBe(vkey);
  });
});

describe('the key-encryption key', () => {
  it('comes from the credential, else from the file, else from nowhere', () => {
    const root = directory();
    const file = join(root, 'kek');
    writeFileSync(file, Buffer.alloc(32, 7), { mode: 0o600 });
    const credentials = directory();
    expect(findKek(SECRETS, {})).toBe(null);
    expect(findKek({ ...SECRETS, kek_file: file }, { CREDENTIALS_DIRECTORY: credentials })?.id).toBe(kek.id);
    writeFileSync(join(credentials, 'holdfast-kek'), `${Buffer.alloc(32, 8).toString('base64')}\n`, {
      mode: 0o400,
    });
    expect(findKek({ ...SECRETS, kek_file: file }, { CREDENTIALS_DIRECTORY: credentials })?.id).toBe(
      other.id,
    );
  });

  it('is not used when others could read it, when it is missing, or when it is no key', () => {
    const file = join(directory(), 'kek');
    const named = { ...SECRETS, kek_file: file };
    expect(() => findKek(named, {})).toThrow(/is not there/);
    writeFileSync(file, 'hunter2', { mode: 0o600 });
    expect(() => findKek(named, {})).toThrow(/must be 32 random bytes/);
    expect(() => findKek(named, {})).not.toThrow(/hunter2/);
    writeFileSync(file, Buffer.alloc(32, 7));
    chmodSync(file, 0o644);
    expect(() => findKek(named, {})).toThrow(/others may have read it/);
  });
});
