import { createHmac, type webcrypto } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import type { BundleOidc } from '../../daemon/core/bundle-oidc.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { actNonce } from '../../daemon/core/id-token.ts';
import { type EngineHandle, internal } from '../../daemon/engine/protocol.ts';
import type { decodeEntry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { withIdTokens } from '../../daemon/identity/check-id-tokens.ts';
import { alice, ask, testBundle } from '../engine/bundle.ts';
import { EngineFixture, START } from '../engine/fixture.ts';

const ISSUER = 'https://login.outpost-7.example';
let keys: webcrypto.CryptoKeyPair;
let jwk: BundleOidc['providers'][number]['keys'][number];
let site: EngineFixture;
let engine: EngineHandle;
let decision: JsonObject;

beforeAll(async () => {
  keys = (await generateKeyPair('EdDSA', { extractable: true })) as webcrypto.CryptoKeyPair;
  const { x = '' } = await exportJWK(keys.publicKey);
  jwk = { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', kid: 'login-1', x };
});

function bundle(
  changes: Partial<BundleOidc> = {},
  provider: Partial<BundleOidc['providers'][number]> = {},
): Bundle {
  const base = testBundle();
  return testBundle({
    principals: {
      ...base.principals,
      alice: { ...base.principals.alice, oidc: { issuer: ISSUER, subject: 'u-alice' } } as never,
    },
    oidc: {
      providers: [
        {
          issuer: ISSUER,
          audience: 'holdfast',
          keys: [jwk],
          keys_until: '2032-01-01T00:00:00Z',
          roles: { 'shift-lead': ['l3'] },
          ...provider,
        },
      ],
      required_for: ['l3'],
      ...changes,
    },
  });
}

/** A site under the given policy, with one decision that waits for a person of the role l3. */
function open(policy: Bundle): void {
  site = new EngineFixture(policy);
  engine = withIdTokens({
    call: async (call) => {
      const [reply] = site.engine.process([call]).replies;
      if (reply === undefined) throw new Error('no reply');
      return reply;
    },
    onEvents: () => () => {},
    stop: async () => {},
  });
  decision = site.call('decisions.create', { json: ask('restart_service', 'service:relay') }).body;
}

beforeEach(() => {
  site?.close();
  open(bundle());
});
afterAll(() => site.close());

interface Made {
  claims?: Record<string, unknown>;
  header?: { kid?: string };
  by?: webcrypto.CryptoKeyPair;
}

/** A token as the provider gives it to Alice for this act, but for what is changed. */
async function token(act: string, { claims = {}, header = {}, by = keys }: Made = {}): Promise<string> {
  const now = Math.floor(site.clock.now() / 1000);
  const payload = {
    iss: ISSUER,
    aud: 'holdfast',
    sub: 'u-alice',
    iat: now - 20,
    exp: now + 300,
    nonce: actNonce(act),
    auth_time: now - 25,
    amr: ['pwd', 'otp'],
    roles: ['shift-lead'],
    ...claims,
  };
  return new SignJWT(payload)
    .setProtectedHeader({ alg: 'EdDSA', kid: 'login-1', ...header })
    .sign(by.privateKey);
}

async function approve(
  make: (act: string) => Promise<unknown> | undefined,
  act = site.sign(alice, decision),
): Promise<{ status: number; body: JsonObject }> {
  const id_token = await make(act.act);
  const body = JSON.stringify({ ...act, ...(id_token === undefined ? {} : { id_token }) });
  const call = { ...internal('decisions.approve', body), args: { id: String(decision.decision_id) } };
  const { status, body: text } = await engine.call(call);
  // A granted permit is printed with its proof outside the engine; the draft of such a reply is not whole JSON.
  return { status, body: status === 200 ? {} : (JSON.parse(text.toString()) as JsonObject) };
}

function newestEntry() {
  const state = site.call('decisions.entries', { args: { id: String(decision.decision_id) } });
  const { entries } = state.body as { entries: { entry: JsonObject }[] } & JsonObject;
  return entries.at(-1)?.entry as unknown as ReturnType<typeof decodeEntry>;
}

describe('an approval with an ID token', () => {
  test('counts when the token was made for it, and the entry says whose and when', async () => {
    const made: string[] = [];
    const { status } = await approve(async (act) => {
      made.push(await token(act));
      return made[0];
    });
    expect(status).toBe(200);
    const found = site.call('decisions.get', { args: { id: String(decision.decision_id) } }).body;
    expect(found.status).toBe('authorized');
    const { type, data } = newestEntry();
    expect(type).toBe('approval.added');
    expect(data.id_token).toMatchObject({
      issuer: ISSUER,
      subject: 'u-alice',
      amr: ['pwd', 'otp'],
      auth_time: new Date(START - 25_000).toISOString(),
    });
    // What could be shown to somebody else as a login stays out of the record.
    expect(JSON.stringify(data)).not.toContain(made[0]?.split('.')[2]);
  });

  const stranger = () => generateKeyPair('EdDSA', { extractable: true }) as Promise<webcrypto.CryptoKeyPair>;
  const now = Math.floor(START / 1000);
  const unsigned = (act: string, alg: string, sign: (input: string) => string): string => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = {
      iss: ISSUER,
      aud: 'holdfast',
      sub: 'u-alice',
      iat: now,
      exp: now + 300,
      nonce: actNonce(act),
      roles: ['shift-lead'],
    };
    const input = `${part({ alg, kid: 'login-1' })}.${part(claims)}`;
    return `${input}.${sign(input)}`;
  };
  const attacks: [string, string, (act: string) => Promise<unknown> | undefined][] = [
    ['no token, where the policy asks for one', 'id_token_required', () => undefined],
    ['a token for another act', 'id_token_invalid', (act) => token(`${act} `)],
    ['a token without a nonce', 'id_token_invalid', (act) => token(act, { claims: { nonce: undefined } })],
    ['a token of somebody else', 'id_token_other_person', (act) => token(act, { claims: { sub: 'u-bob' } })],
    [
      'a token of another issuer',
      'id_token_invalid',
      (act) => token(act, { claims: { iss: 'https://evil.example' } }),
    ],
    ['a token for another audience', 'id_token_invalid', (act) => token(act, { claims: { aud: 'payroll' } })],
    [
      'a token for several audiences',
      'id_token_invalid',
      (act) => token(act, { claims: { aud: ['holdfast', 'x'] } }),
    ],
    ['a token that has expired', 'id_token_invalid', (act) => token(act, { claims: { exp: now - 120 } })],
    ['a token of an old login', 'id_token_invalid', (act) => token(act, { claims: { iat: now - 1_000 } })],
    [
      'a token from the future',
      'id_token_invalid',
      (act) => token(act, { claims: { iat: now + 600, exp: now + 900 } }),
    ],
    ['a token without a subject', 'id_token_invalid', (act) => token(act, { claims: { sub: undefined } })],
    ['a token signed by a stranger', 'id_token_invalid', async (act) => token(act, { by: await stranger() })],
    [
      'a token that names a key that is not pinned',
      'id_token_invalid',
      (act) => token(act, { header: { kid: 'login-2' } }),
    ],
    [
      'a token without a role that counts',
      'role_not_held',
      (act) => token(act, { claims: { roles: ['visitor'] } }),
    ],
    [
      'a token whose role is a name of every object',
      'role_not_held',
      (act) => token(act, { claims: { roles: ['constructor'] } }),
    ],
    ['a token that nobody signed', 'id_token_invalid', async (act) => unsigned(act, 'none', () => '')],
    [
      'a token signed with the public key as a secret',
      'id_token_invalid',
      async (act) =>
        unsigned(act, 'HS256', (input) =>
          createHmac('sha256', Buffer.from(jwk.kty === 'OKP' ? jwk.x : '', 'base64url'))
            .update(input)
            .digest('base64url'),
        ),
    ],
    ['a token that is no token', 'id_token_invalid', async () => 'a.b.c'],
    ['a token that is too long', 'id_token_invalid', async () => 'a'.repeat(20_000)],
  ];
  test.each(attacks)('does not count with %s', async (_, code, make) => {
    const before = site.call('decisions.get', { args: { id: String(decision.decision_id) } }).body.status;
    const { status, body } = await approve(make);
    expect({ status, code: body.code }).toEqual({ status: 422, code: `approval.${code}` });
    expect(newestEntry()).toMatchObject({ type: 'approval.rejected', data: { code: `approval.${code}` } });
    const after = site.call('decisions.get', { args: { id: String(decision.decision_id) } }).body.status;
    expect(after).toBe(before);
  });

  test('does not count once the pinned keys are stale, or while the clock is doubted', async () => {
    site.close();
    open(bundle({}, { keys_until: '2031-03-01T12:00:00Z' }));
    expect((await approve(token)).body).toMatchObject({ code: 'approval.id_token_invalid' });
    site.close();
    open(bundle());
    site.clock.wall -= 365 * 86_400_000;
    expect((await approve(token)).status).not.toBe(200);
  });

  test('is not needed for a "no", nor in a role that the policy does not ask it of', async () => {
    const no = site.sign(alice, decision, { answer: 'reject' });
    expect((await approve(() => undefined, no)).status).toBe(200);
    site.close();
    open(bundle({ required_for: ['safety_officer'] }));
    expect((await approve(() => undefined)).status).toBe(200);
  });

  test('is believed by the engine only when the daemon itself looked at it', () => {
    const act = site.sign(alice, decision);
    const id = String(decision.decision_id);
    const { status, body } = site.call('decisions.approve', {
      args: { id },
      json: { ...act, id_token: 'text' },
    });
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'approval.id_token_invalid' });
  });
});

describe('the section "oidc" of a bundle', () => {
  const found = (policy: Bundle): string => {
    try {
      compileBundle(policy, '0'.repeat(64));
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('pins each provider, key and person once, and keys that are long enough', () => {
    const good = bundle();
    expect(found(good)).toBe('');
    const { providers } = good.oidc ?? { providers: [] };
    expect(found({ ...good, oidc: { providers: [...providers, ...providers] } })).toContain(
      'second provider',
    );
    expect(found(bundle({}, { keys: [jwk, jwk] }))).toContain('second key');
    const short = {
      kty: 'RSA',
      alg: 'RS256',
      kid: 'r',
      n: Buffer.alloc(128, 7).toString('base64url'),
      e: 'AQAB',
    } as const;
    expect(found(bundle({}, { keys: [short] }))).toContain('2,048 bits');
    const both = bundle();
    both.principals.bob = { ...both.principals.bob, oidc: { issuer: ISSUER, subject: 'u-alice' } } as never;
    expect(found(both)).toContain('second person');
    const nobody = bundle();
    nobody.principals.bob = {
      ...(both.principals.bob as object),
      oidc: { issuer: 'https://x.example', subject: 'b' },
    } as never;
    expect(found(nobody)).toContain('unknown provider');
  });
});
