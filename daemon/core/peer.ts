import type { TimeTrust } from '../formats/entry.ts';
import { withPlaceholder } from '../formats/spiffe.ts';
import type { Bundle, BundlePrincipal } from './bundle.ts';

/*
 * Who is on the other end of a socket (design: "Identity and approvals"). The host knows a uid by the kernel's word and a
 * SPIFFE ID by a certificate of the site's own authority; which principal that is, and whether it counts, says the bundle.
 */

/** What the host knows of a peer: an input of the verdict, recorded with it. What is not known is absent. */
export interface PeerFacts {
  /** SHA-256 (hex) of the certificate that it showed. */
  certificate?: string;
  /** The site answers nobody whom the policy does not know. */
  required?: true;
  spiffe_id?: string;
  /** The local user that it runs as. */
  uid?: number;
}

/** A peer as it is recorded: what the host knew, and which principal that was; null when nobody whom the policy knew. */
export interface RecordedPeer extends PeerFacts {
  principal: string | null;
}

/** Why a peer is nobody. `unknown`: no principal has its identity. All others show something that must not count. */
export type Stranger = 'unknown' | 'certificate_unknown' | 'certificate_revoked' | 'conflict';

export type Identified = { principal: string } | { principal: null; stranger: Stranger };

/** The identities of one bundle, indexed. */
export interface PeerIndex {
  /** Whether any principal has an identity; while none has, nobody can be told from anybody. */
  readonly any: boolean;
  /** Whose identity a peer shows. `site` fills in what a shared bundle leaves open. */
  identify(peer: PeerFacts, site: string): Identified;
}

/** Indexes a checked bundle's principals by their identities. */
export function peerIndexOf(bundle: Bundle): PeerIndex {
  const principals = new Map(Object.entries(bundle.principals));
  const byUid = new Map<number, string>();
  const bySpiffeId = new Map<string, string>();
  const revoked = new Set<string>();
  for (const [id, { uid, spiffe_id, revoked_certificates }] of principals) {
    if (uid !== undefined) byUid.set(uid, id);
    if (spiffe_id !== undefined) bySpiffeId.set(spiffe_id, id);
    for (const certificate of revoked_certificates ?? []) revoked.add(certificate);
  }
  const ofCertificate = (spiffe_id: string, site: string) =>
    bySpiffeId.get(spiffe_id) ?? bySpiffeId.get(withPlaceholder(spiffe_id, site) ?? '');
  return {
    any: byUid.size + bySpiffeId.size > 0,
    identify: ({ uid, spiffe_id, certificate }, site) => {
      if (certificate !== undefined && revoked.has(certificate)) return stranger('certificate_revoked');
      const user = uid === undefined ? undefined : byUid.get(uid);
      if (spiffe_id === undefined) return user === undefined ? stranger('unknown') : { principal: user };
      const id = ofCertificate(spiffe_id, site);
      // Whoever shows a certificate is judged by it: one that was struck off the roster must not be saved by its uid.
      if (id === undefined) return stranger(user === undefined ? 'unknown' : 'certificate_unknown');
      const own = principals.get(id)?.uid;
      const borrowed =
        own === undefined ? user !== undefined && user !== id : uid !== undefined && uid !== own;
      return borrowed ? stranger('conflict') : { principal: id };
    },
  };
}

function stranger(why: Stranger): Identified {
  return { principal: null, stranger: why };
}

/** Why a stranger is one, for people. Names nothing that came with the request. */
export const STRANGER_WORDS: Readonly<Record<Stranger, string>> = {
  unknown: 'The policy knows no principal with the identity of the caller.',
  certificate_unknown: "The policy knows no principal with the SPIFFE ID of the caller's certificate.",
  certificate_revoked: 'The certificate of the caller is revoked by the policy.',
  conflict: 'The certificate of the caller belongs to another principal than its local user.',
};

/** What keeps a principal from counting at an instant, as the last word of a gate's id; null when nothing does. */
export type Lapse = 'suspended' | 'revoked' | 'expired';

/**
 * Whether a principal counts: its status, and its expiry. While the clock is doubted nobody can say whether an expiry is
 * over, so it counts as that: a clock that was set back must not bring an agent back.
 */
export function lapseOf(
  { status, expires_at }: Pick<BundlePrincipal, 'status' | 'expires_at'>,
  now_ms: number,
  time_trust: TimeTrust,
): Lapse | null {
  if (status !== 'active') return status;
  if (expires_at === undefined) return null;
  return time_trust === 'uncertain' || Date.parse(expires_at) <= now_ms ? 'expired' : null;
}

/** A sentence on a lapse; `who` is quoted as the caller pleases. */
export function lapseWords(
  who: string,
  lapse: Lapse,
  { expires_at }: Pick<BundlePrincipal, 'expires_at'>,
): string {
  return lapse === 'expired'
    ? `${who} was enrolled until ${expires_at ?? 'then'}, and that is over or cannot be told while the clock is doubted.`
    : `${who} is ${lapse}.`;
}

/** Whether a principal may ask in a name: its own, one that it may assert, or one of a kind that it may assert. */
export function mayName(
  find: (id: string) => BundlePrincipal | null | undefined,
  principal: string,
  named: string,
): boolean {
  if (principal === named) return true;
  const list = find(principal)?.may_assert ?? [];
  const kind = find(named)?.kind;
  return list.includes(named) || (kind !== undefined && list.includes(kind));
}

/** Whether a principal has an identity of its own, so that nobody can be it without showing that. */
export function hasIdentity({ uid, spiffe_id }: Pick<BundlePrincipal, 'uid' | 'spiffe_id'>): boolean {
  return uid !== undefined || spiffe_id !== undefined;
}
