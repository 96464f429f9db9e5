import type { webcrypto } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DecisionReply } from '../../daemon/api/client.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, type Role, World } from '../world.ts';

/* An approval with an ID token, as people give it: with the commands, over a daemon's own socket. */

const ISSUER = 'https://login.outpost-7.example';
const scratch = mkdtempSync(join(tmpdir(), 'hf-oidc-'));
let world: World;
let daemon: Role;
let keys: webcrypto.CryptoKeyPair;

beforeAll(async () => {
  keys = (await generateKeyPair('EdDSA', { extractable: true })) as webcrypto.CryptoKeyPair;
  const { x = '' } = await exportJWK(keys.publicKey);
  const policy = join(scratch, 'policy');
  cpSync(join(ROOT, 'test/crash/policy'), policy, { recursive: true });
  const provider = {
    issuer: ISSUER,
    audience: 'holdfast',
    keys: [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', kid: 'login-1', x }],
    keys_until: '2099-01-01T00:00:00Z',
    roles: { operators: ['L2'] },
  };
  writeFileSync(
    join(policy, 'oidc.yaml'),
    JSON.stringify({ providers: [provider], required_for: ['L2'] }, null, 2),
  );
  const people = join(policy, 'principals.yaml');
  const oidc = `  oidc: { issuer: "${ISSUER}", subject: u-warden }`;
  writeFileSync(people, readFileSync(people, 'utf8').replace(/^warden:$/m, `warden:\n${oidc}`));
  world = await World.make(policy);
  daemon = await world.daemon();
});
afterAll(async () => {
  await world?.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** What the provider answers to a login with this nonce, in a file. */
async function login(nonce: string, subject = 'u-warden'): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const claims = { nonce, auth_time: now - 5, amr: ['pwd', 'otp'], roles: ['operators'] };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA', kid: 'login-1' })
    .setIssuer(ISSUER)
    .setAudience('holdfast')
    .setSubject(subject)
    .setIssuedAt(now)
    .setExpirationTime(now + 300)
    .sign(keys.privateKey);
  const file = join(scratch, `${nonce.slice(0, 8)}.jwt`);
  writeFileSync(file, `${token}\n`);
  return file;
}

const waiting = (mark: string): Promise<DecisionReply> =>
  world.client('request').createDecision(ask('careful_mark', mark));

/** Signs into a file and says what to log in with. */
async function sign(id: string, name: string): Promise<{ file: string; nonce: string }> {
  const file = join(scratch, name);
  const key = join(world.paths.publisher, 'people', 'warden');
  const signed = await world.json('approvals', 'sign', id, '--key', key, '--yes', '-o', file);
  expect(signed).toMatchObject({ code: 0, nonce: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) });
  const { nonce } = await world.json('approvals', 'nonce', file);
  expect(nonce).toBe(signed.nonce);
  return { file, nonce: String(nonce) };
}

it('signs, logs in for what was signed, and submits both', async () => {
  const { decision_id: id } = await waiting('oidc-1');
  const { file, nonce } = await sign(id, 'warden-1.signed');
  const bare = await world.json('approvals', 'submit', file);
  expect(bare).toMatchObject({ code: 3, error: { code: 'approval.id_token_required' } });
  const done = await world.json('approvals', 'submit', file, '--id-token', await login(nonce));
  expect(done).toMatchObject({ code: 0, status: 'authorized' });
  const { stdout } = await world.holdfast('decision', 'show', id);
  expect(stdout).toMatch(/logged in at https:\/\/login\.outpost-7\.example as u-warden, .*, by pwd, otp/);
});

it('sends nothing when the token belongs to another act, or is none', async () => {
  const { decision_id: id } = await waiting('oidc-2');
  const { file } = await sign(id, 'warden-2.signed');
  const before = (await world.client('operator').getDecision(id)).ledger.record_id;
  const other = await world.json('approvals', 'submit', file, '--id-token', await login('another-nonce'));
  expect(other).toMatchObject({ code: 2, error: { code: 'id_token.other_act' } });
  const none = await world.json('approvals', 'submit', file, '--id-token', file);
  expect(none).toMatchObject({ code: 2, error: { code: 'id_token.malformed' } });
  const missing = await world.json('approvals', 'submit', file, '--id-token', join(scratch, 'none'));
  expect(missing).toMatchObject({ code: 2, error: { code: 'id_token.unreadable' } });
  expect((await world.client('operator').getDecision(id)).ledger.record_id).toBe(before);
});

it('imports a pack that carries its token, and records a stranger’s as refused', async () => {
  const { decision_id: id } = await waiting('oidc-3');
  const stranger = await sign(id, 'warden-3.signed');
  const wrong = await login(stranger.nonce, 'u-somebody');
  const pack = join(scratch, 'stranger.pack');
  await world.json('approvals', 'pack', stranger.file, '--id-token', wrong, '-o', pack);
  const refused = await world.json('approvals', 'import', pack);
  expect(refused).toMatchObject({ code: 3, error: { code: 'approval.id_token_other_person' } });

  const own = await sign(id, 'warden-4.signed');
  const good = join(scratch, 'warden.pack');
  await world.json('approvals', 'pack', own.file, '--id-token', await login(own.nonce), '-o', good);
  const counted = await world.json('approvals', 'import', good);
  expect(counted).toMatchObject({ code: 0, counted: true, decision: { status: 'authorized' } });
});

it('keeps no token: neither the ledger nor the daemon’s log holds one', async () => {
  await daemon.kill('SIGTERM');
  const { entries } = checkLedger(world.paths, world.trust());
  const text = JSON.stringify(entries);
  expect(text).toContain('u-warden');
  // A JWT's header begins with these characters whatever it says.
  expect(text).not.toContain('eyJ');
  expect((await daemon.ended).stderr).not.toContain('eyJ');
});
