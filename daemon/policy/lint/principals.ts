import type { Bundle, BundlePrincipal } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { isOfSite, SITE_PLACEHOLDER } from '../../formats/spiffe.ts';
import type { Finding } from './finding.ts';

/**
 * `principal.no_owner`, `principal.unknown_owner`, `principal.expired`, `principal.other_site`, `principal.audience`: entries of
 * the registry that answer to nobody, are over before they begin, or can never be used.
 */
export function principalFindings(bundle: Bundle): Finding[] {
  return Object.entries(bundle.principals).flatMap(([id, principal]) => [
    ...ownerFindings(bundle, id, principal),
    ...expiryFindings(bundle, id, principal),
    ...identityFindings(bundle, id, principal),
  ]);
}

function ownerFindings(
  { principals }: Bundle,
  id: string,
  { kind, owner, status }: BundlePrincipal,
): Finding[] {
  const pointer = pointerOf('principals', id, 'owner');
  if (owner === undefined) {
    if (kind !== 'agent' || status !== 'active') return [];
    const found = `the agent ${id} without an owner: nobody answers for it`;
    return [
      warning(
        'no_owner',
        pointerOf('principals', id),
        found,
        'name the person who answers for it under owner',
      ),
    ];
  }
  const person = Object.hasOwn(principals, owner) ? principals[owner] : undefined;
  if (person?.kind === 'human') return [];
  const what = person === undefined ? 'whom the roster does not have' : `which is of kind ${person.kind}`;
  return [
    warning('unknown_owner', pointer, `the owner ${owner} of ${id}, ${what}`, 'name a person of the roster'),
  ];
}

/** Without a clock: over when the bundle is issued is over wherever it arrives. */
function expiryFindings(
  { metadata }: Bundle,
  id: string,
  { expires_at, status }: BundlePrincipal,
): Finding[] {
  if (expires_at === undefined || status !== 'active') return [];
  if (Date.parse(expires_at) > Date.parse(metadata.issued_at)) return [];
  const found = `${id}, active until ${expires_at}, which was over when the policy was issued`;
  return [
    warning(
      'expired',
      pointerOf('principals', id, 'expires_at'),
      found,
      'renew it, or set its status to revoked',
    ),
  ];
}

function identityFindings(
  bundle: Bundle,
  id: string,
  { spiffe_id, uid, audiences }: BundlePrincipal,
): Finding[] {
  const findings: Finding[] = [];
  const { sites } = bundle.metadata;
  if (
    spiffe_id !== undefined &&
    !spiffe_id.includes(SITE_PLACEHOLDER) &&
    !sites.some((site) => isOfSite(spiffe_id, site))
  ) {
    const found = `${spiffe_id}, an ID of none of the sites that the policy is for: no certificate can show it there`;
    const write_instead = `write spiffe://${SITE_PLACEHOLDER}/… or the name of a site`;
    findings.push(warning('other_site', pointerOf('principals', id, 'spiffe_id'), found, write_instead));
  }
  if (audiences !== undefined && spiffe_id === undefined && uid === undefined) {
    const found = `${id}, an audience without an identity: whoever may open redeem.sock can redeem in its place`;
    const write_instead = 'give it a spiffe_id or a uid';
    findings.push(warning('audience', pointerOf('principals', id, 'audiences'), found, write_instead));
  }
  return findings;
}

function warning(check: string, pointer: string, found: string, write_instead: string): Finding {
  return { severity: 'warning', check: `principal.${check}`, pointer, found, write_instead };
}
