import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

  /** Runs with an agent of its own that holds the keys named. */
  async function withAgent(names: string[], act: () => Promise<void>): Promise<void> {
    const agent = spawn('ssh-agent', ['-D', '-a', at('agent.sock')], { stdio: 'ignore' });
    const before = process.env.SSH_AUTH_SOCK;
    try {
      process.env.SSH_AUTH_SOCK = at('agent.sock');
      for (const name of names) {
        for (let left = 2_000; left > 0; left -= 1) {
          if (spawnSync('ssh-add', ['-q', at(name)], { env: process.env }).status === 0) break;
          await new Promise((resolve) => setTimeout(resolve, 25));
        }
      }
      await act();
    } finally {
      if (before === undefined) delete process.env.SSH_AUTH_SOCK;
      else process.env.SSH_AUTH_SOCK = before;
      agent.kill();
      rmSync(at('agent.sock'), { force: true });
    }
  }

  const signsAs = async (named: string, name: string): Promise<void> => {
    const armor = await (await openSigningKey(named)).sign(message, namespace);
    expect(verifySshSignature({ armor, message, namespace })).toMatchObject({
      ok: true,
      key: fingerprint(name),
    });
  };

  it('a public key signs through the agent that holds its private half', () =>
    withAgent(['plain'], () => signsAs(at('plain.pub'), 'plain')));

  it('a key in the agent is named by its fingerprint, or not at all when it is the only one', async () => {
    await withAgent(['plain'], () => signsAs('agent', 'plain'));
    await withAgent(['plain', 'ecdsa'], async () => {
      await signsAs(fingerprint('plain'), 'plain');
      await signsAs(fingerprint('ecdsa'), 'ecdsa');
      await expect(openSigningKey('agent')).rejects.toMatchObject({
        code: 'agent.no_key',
        message: expect.stringContaining(fingerprint('plain')),
      });
      await expect(openSigningKey(fingerprint('locked'))).rejects.toMatchObject({ code: 'agent.no_key' });
    });
  });

  it('a key with a passphrase signs through the agent that it was unlocked in', async () => {
    // What an unlocked key leaves in an agent is the same key without its passphrase.
    writeFileSync(at('unlocked'), readFileSync(at('locked')), { mode: 0o600 });
    const args = ['-q', '-p', '-P', 'a passphrase', '-N', '', '-f', at('unlocked')];
    expect(spawnSync('ssh-keygen', args).status).toBe(0);
    await withAgent(['unlocked'], () => signsAs(at('locked'), 'locked'));
    const locked = await openSigningKey(at('locked'));
    expect(locked.fingerprint).toBe(fingerprint('locked'));
  });

  it('without an agent none of its keys can be named', async () => {
    const { SSH_AUTH_SOCK: before } = process.env;
    delete process.env.SSH_AUTH_SOCK;
    try {
      await expect(openSigningKey('agent')).rejects.toMatchObject({ code: 'agent.none' });
    } finally {
      if (before !== undefined) process.env.SSH_AUTH_SOCK = before;
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
    // A pipe would be waited for.
    spawnSync('mkfifo', [at('pipe')]);
    for (const name of ['pipe', '.'])
      await expect(openSigningKey(at(name))).rejects.toMatchObject({ code: 'sshkey.malformed' });
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
