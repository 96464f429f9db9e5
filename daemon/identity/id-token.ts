import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
} from 'jose';
import type { BundleOidc, OidcProvider } from '../core/bundle-oidc.ts';
import { durationMs } from '../core/duration.ts';
import { actNonce, type CheckedIdToken, ID_TOKEN_MAX_LENGTH } from '../core/id-token.ts';
import { sha256Hex } from '../formats/digest.ts';

const MAX_AGE = '15m';
/** Provider and site may differ by this much. */
const TOLERANCE_SECONDS = 60;
const MAX_LIST = 64;

/** What an ID token is held against. */
export interface IdTokenRules {
  /** Of the bundle in force; null when it has no such section. */
  oidc: BundleOidc | null;
  /** Milliseconds since 1970. */
  now: number;
  /** False while the clock is doubted: then no token can be told from a stale one. */
  time_believed: boolean;
}

/**
 * Verifies an ID token offline (OpenID Connect Core 1.0, section 3.1.3.7) against the keys that the bundle pins, for one
 * act. Never throws for what a token holds; what is wrong with it is told without quoting it.
 */
export async function verifyIdToken(
  token: string,
  actText: string,
  rules: IdTokenRules,
): Promise<CheckedIdToken> {
  if (token.length > ID_TOKEN_MAX_LENGTH) return { failed: 'it is too long.' };
  if (!rules.time_believed) return { failed: 'this site does not trust its clock at the moment.' };
  const provider = providerOf(token, rules.oidc);
  if (provider === null) return { failed: 'its issuer is none that the policy in force knows.' };
  if (Date.parse(provider.keys_until) <= rules.now) {
    return { failed: `the keys that the policy pins for its issuer are stale since ${provider.keys_until}.` };
  }
  try {
    const { payload, protectedHeader } = await jwtVerify(
      token,
      createLocalJWKSet({ keys: provider.keys } as JSONWebKeySet),
      {
        issuer: provider.issuer,
        audience: provider.audience,
        algorithms: provider.keys.map(({ alg }) => alg),
        currentDate: new Date(rules.now),
        clockTolerance: TOLERANCE_SECONDS,
        maxTokenAge: durationMs(provider.max_age ?? MAX_AGE) / 1000,
        requiredClaims: ['sub', 'iat', 'exp', 'nonce'],
      },
    );
    // Section 3.1.3.7, point 3: a token for several must not be believed by one of them.
    if (Array.isArray(payload.aud) && payload.aud.length > 1)
      return { failed: 'it was made for several audiences.' };
    if (payload.nonce !== actNonce(actText)) return { failed: 'its nonce belongs to another act.' };
    const key = provider.keys.find(({ kid }) => kid === protectedHeader.kid);
    if (key === undefined) return { failed: 'it does not name the key that signed it.' };
    return claimsOf(payload, provider, {
      key: await calculateJwkThumbprint(key),
      digest: sha256Hex(Buffer.from(token, 'utf8')),
    });
  } catch (error) {
    if (error instanceof errors.JOSEError) return { failed: WORDS[error.code] ?? 'it cannot be read.' };
    if (error instanceof TypeError) return { failed: 'it cannot be read.' };
    throw error;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: 'it has expired or is too old.',
  ERR_JWT_CLAIM_VALIDATION_FAILED: 'a claim is missing or wrong (audience, time or nonce).',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'its signature does not verify.',
  ERR_JWKS_NO_MATCHING_KEY: 'no key that the policy pins made its signature.',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'it does not name the key that signed it.',
  ERR_JOSE_ALG_NOT_ALLOWED: 'its algorithm is none that the policy allows.',
};

/** The provider that a token names, which then has to prove it. */
function providerOf(token: string, oidc: BundleOidc | null): OidcProvider | null {
  const [, part = ''] = token.split('.', 3);
  let payload: unknown;
  try {
    payload = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    return null;
  }
  const issuer = typeof payload === 'object' && payload !== null && 'iss' in payload ? payload.iss : null;
  return oidc?.providers.find((provider) => provider.issuer === issuer) ?? null;
}

function claimsOf(
  payload: JWTPayload,
  { issuer, role_claim = 'roles' }: OidcProvider,
  { key, digest }: { key: string; digest: string },
): CheckedIdToken {
  const { sub = '', iat = 0, auth_time, amr } = payload;
  if (sub.length > 255) return { failed: 'its subject is too long.' };
  return {
    issuer,
    subject: sub,
    key,
    digest,
    issued_at: iso(iat),
    auth_time: typeof auth_time === 'number' && isSeconds(auth_time) ? iso(auth_time) : null,
    amr: texts(amr)
      .filter((method) => /^[a-z0-9_-]{1,32}$/.test(method))
      .slice(0, 8),
    roles: texts(payload[role_claim]),
  };
}

/** A list of words, or one text with spaces between them: providers do both. */
function texts(claim: unknown): string[] {
  const list = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  return list
    .filter((word): word is string => typeof word === 'string' && word.length <= 200)
    .slice(0, MAX_LIST);
}

function isSeconds(value: number): boolean {
  return value >= 0 && value < 253_402_300_800;
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
