import { BoundaryError } from './boundary-error.ts';

/*
 * SPIFFE IDs (SPIFFE-ID specification, sections 2 and 3) as this product uses them: the trust domain is the site. A
 * site's name may have a path of its own (`example.org/outpost-7`), which then begins the ID's path.
 */

/** Stands for the site's own name in a bundle that several sites share. */
export const SITE_PLACEHOLDER = '{{site}}';

/** SPIFFE-ID section 2.3: an ID is at most 2048 bytes; ours are shorter, because certificates and entries hold them. */
const ID_MAX_LENGTH = 500;
const SCHEME = 'spiffe://';
/** Section 2.1: lower-case letters, digits, dots, hyphens, underscores. */
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
/** Section 2.2: segments of letters, digits, dots, hyphens and underscores; none empty, none `.` or `..`. */
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** The parts of a SPIFFE ID. */
export interface SpiffeId {
  /** As written in an ID: the trust domain. */
  readonly trust_domain: string;
  /** Beginning with a slash. */
  readonly path: string;
}

/**
 * Reads a SPIFFE ID that names a workload (a path is demanded: section 2.2 leaves IDs without one to trust domains).
 * Throws `BoundaryError` `spiffe.malformed`. No escapes, ports, users, queries or fragments: section 2 has none.
 */
export function parseSpiffeId(text: string): SpiffeId {
  const rest = text.startsWith(SCHEME) ? text.slice(SCHEME.length) : '';
  const slash = rest.indexOf('/');
  const [trust_domain, path] = slash < 0 ? [rest, ''] : [rest.slice(0, slash), rest.slice(slash)];
  const segments = path.split('/').slice(1);
  const wrong =
    text.length > ID_MAX_LENGTH ||
    !TRUST_DOMAIN.test(trust_domain) ||
    segments.length === 0 ||
    segments.some((segment) => !SEGMENT.test(segment) || segment === '.' || segment === '..');
  if (!wrong) return { trust_domain, path };
  throw new BoundaryError(
    'spiffe.malformed',
    'A SPIFFE ID is spiffe://SITE/PATH: the site in lower case, then one or more segments of letters, digits, dots, hyphens and underscores, such as spiffe://outpost-7.example/agent/ops-1.',
  );
}

/** Whether an ID is one of this site's: `spiffe://<site>/…`, with something after it. The ID must be well-formed. */
export function isOfSite(id: string, site: string): boolean {
  const prefix = `${SCHEME}${site}/`;
  return id.startsWith(prefix) && id.length > prefix.length;
}

/** The ID of this site with this path (`/gateway`). */
export function spiffeIdOf(site: string, path: string): string {
  return `${SCHEME}${site}${path}`;
}

/** The form in which a shared bundle writes one of this site's IDs; null when the ID is another site's. */
export function withPlaceholder(id: string, site: string): string | null {
  return isOfSite(id, site) ? `${SCHEME}${SITE_PLACEHOLDER}${id.slice(SCHEME.length + site.length)}` : null;
}

/** An ID as a bundle may write it, the placeholder filled in with any site: for checks of its shape. */
export function withSite(pattern: string, site: string): string {
  return pattern.replace(`${SCHEME}${SITE_PLACEHOLDER}/`, `${SCHEME}${site}/`);
}

/**
 * The SPIFFE ID of a certificate, from its subject alternative names as node:crypto prints them
 * (`X509Certificate.subjectAltName`). X509-SVID section 2: exactly one URI; names of other kinds may stand beside it.
 * Null when there is none, or more than one, or anything that is not plainly readable: node quotes whatever could be
 * mistaken for a separator, and quotes are not plain.
 */
export function spiffeIdOfNames(subjectAltName: string | undefined): string | null {
  const names = (subjectAltName ?? '').split(', ');
  const uris = names.filter((name) => name.startsWith('URI:'));
  const plain = names.every((name) => /^(URI|DNS|IP Address):[A-Za-z0-9._:/-]+$/.test(name));
  const [uri] = uris;
  if (uri === undefined || uris.length > 1 || !plain) return null;
  const id = uri.slice('URI:'.length);
  try {
    parseSpiffeId(id);
    return id;
  } catch {
    return null;
  }
}
