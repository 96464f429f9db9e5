import { sha256 } from '../formats/digest.ts';
import type { JsonObject } from '../formats/json.ts';
import type { AcceptedAct } from './approve.ts';
import type { Bundle } from './bundle.ts';
import { type Refusal, refuse } from './refusal.ts';

/** Tokens longer than this are not looked at. */
export const ID_TOKEN_MAX_LENGTH = 16_384;

/** The nonce that binds an ID token to an act: base64url SHA-256 of the act's exact bytes. */
export function actNonce(actText: string): string {
  return Buffer.from(sha256(Buffer.from(actText, 'utf8'))).toString('base64url');
}

/** What the process around the engine found when it verified an ID token. The token itself goes no further. */
export type CheckedIdToken = VerifiedIdToken | { failed: string };

/** An ID token whose signature, issuer, audience, times and nonce were right (OpenID Connect Core, section 3.1.3.7). */
export interface VerifiedIdToken {
  issuer: string;
  subject: string;
  /** RFC 7638 thumbprint of the pinned key that signed it. */
  key: string;
  /** Hex SHA-256 of the token. */
  digest: string;
  /** RFC 3339; null where the token does not say. */
  issued_at: string;
  auth_time: string | null;
  amr: string[];
  /** What it says under the provider's role claim. */
  roles: string[];
}

/**
 * Whether the ID token beside an approval (null: none) lets it count: a person that it names, a role that it carries, and
 * one at all where a policy asks for it. `policies` are the one that the decision is pinned to and the one in force; each
 * may ask. Returns what to record, null when there is nothing, or the refusal.
 */
export function judgeIdToken(
  person: AcceptedAct,
  token: CheckedIdToken | null,
  policies: { pinned: Bundle; current: Bundle },
): JsonObject | null | Refusal {
  if (token === null) {
    const wanted = [policies.pinned, policies.current].some(({ oidc }) =>
      oidc?.required_for?.includes(person.role),
    );
    if (!wanted) return null;
    return refuse(
      'approval.id_token_required',
      `In the role ${person.role} an approval counts only with an ID token of the site's identity provider. Log in there for this very act and submit it again with the token.`,
    );
  }
  if ('failed' in token) {
    return refuse(
      'approval.id_token_invalid',
      `The ID token cannot be relied on: ${token.failed} The approval does not count; log in again and submit it with a new token.`,
    );
  }
  return judgeClaims(person, token, policies.current);
}

function judgeClaims(
  person: AcceptedAct,
  token: VerifiedIdToken,
  { oidc, principals }: Bundle,
): JsonObject | Refusal {
  const known = principals[person.principal]?.oidc;
  if (known?.issuer !== token.issuer || known.subject !== token.subject) {
    return refuse(
      'approval.id_token_other_person',
      `The ID token was given to somebody else than ${person.principal}, whose key signed. The approval does not count; log in as the person who signs.`,
    );
  }
  const provider = oidc?.providers.find(({ issuer }) => issuer === token.issuer);
  const mapped = token.roles.flatMap((name) =>
    Object.hasOwn(provider?.roles ?? {}, name) ? (provider?.roles?.[name] ?? []) : [],
  );
  if (provider?.roles !== undefined && !mapped.includes(person.role)) {
    return refuse(
      'approval.role_not_held',
      `The site's identity provider does not give ${person.principal} the role ${person.role}. The approval does not count.`,
    );
  }
  const { roles: _, ...recorded } = token;
  return recorded;
}
