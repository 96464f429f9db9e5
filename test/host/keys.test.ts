import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyEd25519 } from '../../daemon/formats/ed25519.ts';
import { parseVkey } from '../../daemon/formats/signed-note.ts';
import { createSealingKey, loadSealer } from '../../daemon/host/sealer.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { temporaryDir } from './temporary.ts';

const ORIGIN = 'outpost-7.example/ledger';

describe('signing keys', () => {
  it('are written 0600, load again and sign under their vkey', () => {
    const path = join(temporaryDir(), 'key');
    // Base64 holds plus signs now and then; the format must survive them.
    for (let i = 0; i < 20; i++) {
      const { vkey } = createSigningKey(`${path}${i}`, ORIGIN);
      const signer = loadSigner(`${path}${i}`);
      const message = new TextEncoder().encode('tree head');
      expect([signer.name, signer.vkey, statSync(`${path}${i}`).mode & 0o777]).toEqual([ORIGIN, vkey, 0o600]);
      expect(verifyEd25519(signer.sign(message), message, parseVkey(vkey).publicKey)).toBe(true);
    }
  });

  it('reads the key of Go’s note package', () => {
    // The example key of golang.org/x/mod/sumdb/note.
    const path = join(temporaryDir(), 'key');
    writeFileSync(path, 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n', {
      mode: 0o600,
    });
    expect(loadSigner(path).vkey).toBe('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
  });

  it('never replace a file', () => {
    const path = join(temporaryDir(), 'key');
    createSigningKey(path, ORIGIN);
    const before = readFileSync(path, 'utf8');
    expect(() => createSigningKey(path, ORIGIN)).toThrow(/is there already/);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  it('are refused when others could have read them', () => {
    const path = join(temporaryDir(), 'key');
    createSigningKey(path, ORIGIN);
    for (const mode of [0o640, 0o604, 0o660, 0o610]) {
      chmodSync(path, mode);
      expect(() => loadSigner(path)).toThrow(/others may have read/);
    }
  });

  it('are refused when edited, without quoting a byte of the key', () => {
    const path = join(temporaryDir(), 'key');
    createSigningKey(path, ORIGIN);
    const key = readFileSync(path, 'utf8');
    const secret = key.trim().split('+').slice(4).join('+');
    for (const edited of [
      key.replace('outpost-7', 'outpost-8'),
      key.slice(0, -6),
      key.replace(secret, 'AAAA'),
      '',
      'PRIVATE+KEY+x',
    ]) {
      writeFileSync(path, edited, { mode: 0o600 });
      expect(() => loadSigner(path)).toThrow(/is not a signing key/);
      expect(() => loadSigner(path)).not.toThrow(secret.slice(0, 12));
    }
  });
});

describe('sealer', () => {
  it('opens what it sealed, for the same context only', () => {
    const path = join(temporaryDir(), 'key');
    createSealingKey(path);
    const sealer = loadSealer(path);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), fc.string(), (value, context, other) => {
        const sealed = sealer.seal(value, context);
        expect(sealer.open(sealed, context)).toEqual(value);
        if (other !== context) expect(() => sealer.open(sealed, other)).toThrow(/was not opened/);
      }),
      { numRuns: 100 },
    );
  });

  it('notices every flipped bit and every cut', () => {
    const path = join(temporaryDir(), 'key');
    createSealingKey(path);
    const sealer = loadSealer(path);
    const sealed = sealer.seal(new TextEncoder().encode('1234'), 'dec_1/pin');
    for (const part of ['key', 'bytes'] as const) {
      const whole = sealed[part];
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const changed = whole.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => sealer.open({ ...sealed, [part]: changed }, 'dec_1/pin')).toThrow(/was not opened/);
      }
      for (let length = 0; length < whole.length; length++) {
        const cut = { ...sealed, [part]: whole.subarray(0, length) };
        expect(() => sealer.open(cut, 'dec_1/pin')).toThrow(/was not opened/);
      }
    }
  });

  it('never seals the same value to the same bytes', () => {
    const path = join(temporaryDir(), 'key');
    createSealingKey(path);
    const sealer = loadSealer(path);
    const seen = new Set(
      Array.from({ length: 100 }, () => {
        const { key, bytes } = sealer.seal(new Uint8Array(4), 'x');
        return Buffer.concat([key, bytes]).toString('hex');
      }),
    );
    expect(seen.size).toBe(100);
  });

  it('refuses a key file of another length', () => {
    const path = join(temporaryDir(), 'key');
    writeFileSync(path, Buffer.alloc(31), { mode: 0o600 });
    expect(() => loadSealer(path)).toThrow(/should hold 32 bytes/);
  });
});
