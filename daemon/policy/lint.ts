import type { Bundle } from '../core/bundle.ts';
import { activationFindings } from './lint/activation.ts';
import { anchoringFindings } from './lint/anchoring.ts';
import { authorityFindings } from './lint/authority.ts';
import { breakglassFindings } from './lint/breakglass.ts';
import { type Finding, placesOf } from './lint/finding.ts';
import { incidentFindings } from './lint/incidents.ts';
import { keyFindings } from './lint/keys.ts';
import { principalFindings } from './lint/principals.ts';
import { readingFindings } from './lint/reading.ts';
import { retentionFindings } from './lint/retention.ts';
import { routeFindings } from './lint/routes.ts';
import { factorFindings, gateFindings, unusedFindings } from './lint/rules.ts';

/**
 * Looks for rules that can never matter, requests that can never be authorized, and authority that the roster cannot
 * give. The bundle must have compiled. Worst first.
 */
export function lintBundle(bundle: Bundle): Finding[] {
  const places = placesOf(bundle);
  const findings = [
    ...gateFindings(bundle, places),
    ...factorFindings(bundle, places),
    ...routeFindings(bundle, places),
    ...authorityFindings(bundle, places),
    ...activationFindings(bundle),
    ...anchoringFindings(bundle),
    ...principalFindings(bundle),
    ...incidentFindings(bundle),
    ...breakglassFindings(bundle),
    ...readingFindings(bundle),
    ...retentionFindings(bundle),
    ...unusedFindings(bundle, places),
    ...keyFindings(bundle),
  ];
  const order = ['error', 'warning', 'note'];
  return findings.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

export type { Finding } from './lint/finding.ts';
