import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSigningKey } from '../../daemon/commands/ssh-key.ts';
import { verifySshSignature } from '../../daemon/formats/sshsig.ts';

const hasOpenssh = spawnSync('ssh-keygen', ['-?']).error === undefined;
const message = new TextEncoder().encode('{"answer":"approve"}');
const namespace = 'approval@holdfast';

describe.skipIf(!hasOpenssh)('keys that people sign with', () => {
  let dir: string;
  const at = (name: string): string => join(dir, name);
  const make = (name: string, type: string, passphrase = ''): void => {
    const made = spawnSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', name, '-f', at(name)]);
    if (made.status !== 0) throw new Error(String(made.stderr));
  };

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'holdfast-keys-'));
    make('plain', 'ed25519');
    make('locked', 'ed25519', 'a passphrase');
    make('ecdsa', 'ecdsa');
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const fingerprint = (name: string): string =>
    String(spawnSync('ssh-keygen', ['-l', '-f', at(`${name}.pub`)]).stdout).split(' ')[1] ?? '';

  it('an unprotected Ed25519 file is used directly', async () => {
    const key = await openSigningKey(at('plain'));
    expect(key.fingerprint).toBe(fingerprint('plain'));
    const armor = await key.sign(message, namespace);
    expect(verifySshSignature({ armor, message, namespace })).toMatchObject({
      ok: true,
      key: fingerprint('plain'),
    });
  });

  it('a link to a key is followed, as ssh does', async () => {
    symlinkSync(at('plain'), at('link'));
    const armor = await (await openSigningKey(at('link'))).sign(message, namespace);
    expect(verifySshSignature({ armor, message, namespace }).ok).toBe(true);
  });

  it('other types go through ssh-keygen', async () => {
    const key = await openSigningKey(at('ecdsa'));
    expect(key.fingerprint).toBe(fingerprint('ecdsa'));
    const armor = await key.sign(message, namespace);
    expect(verifySshSignature({ armor, message, namespace })).toMatchObject({
      ok: true,
      key: fingerprint('ecdsa'),
    });
  });

  it('a public key signs through the agent that holds its private half', async () => {
    const agent = spawn('ssh-agent', ['-D', '-a', at('agent.sock')], { stdio: 'ignore' });
    const before = process.env.SSH_AUTH_SOCK;
    try {
      process.env.SSH_AUTH_SOCK = at('agent.sock');
      for (let left = 200; left > 0; left -= 1) {
        if (spawnSync('ssh-add', ['-q', at('plain')], { env: process.env }).status === 0) break;
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      const armor = await (await openSigningKey(at('plain.pub'))).sign(message, namespace);
      expect(verifySshSignature({ armor, message, namespace })).toMatchObject({
        ok: true,
        key: fingerprint('plain'),
      });
    } finally {
      if (before === undefined) delete process.env.SSH_AUTH_SOCK;
      else process.env.SSH_AUTH_SOCK = before;
      agent.kill();
    }
  });

  it('a public key whose private half is nowhere signs nothing and says so', async () => {
    const { SSH_AUTH_SOCK: before } = process.env;
    delete process.env.SSH_AUTH_SOCK;
    try {
      make('gone', 'ed25519');
      rmSync(at('gone'));
      const gone = await openSigningKey(at('gone.pub'));
      await expect(gone.sign(message, namespace)).rejects.toMatchObject({
        code: 'key.not_signed',
        message: expect.stringContaining('Nothing was signed'),
      });
    } finally {
      if (before !== undefined) process.env.SSH_AUTH_SOCK = before;
    }
  });

  it('a key that others can read is refused', async () => {
    chmodSync(at('plain'), 0o644);
    await expect(openSigningKey(at('plain'))).rejects.toMatchObject({ code: 'key.too_open' });
    chmodSync(at('plain'), 0o600);
  });

  it('what is no key is refused, and nothing of the file is repeated', async () => {
    await expect(openSigningKey(at('missing'))).rejects.toMatchObject({ code: 'key.missing' });
    writeFileSync(at('notes'), 'attack at dawn', { mode: 0o600 });
    try {
      await openSigningKey(at('notes'));
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'sshkey.malformed' });
      expect(String(error)).not.toContain('dawn');
    }
  });
});
