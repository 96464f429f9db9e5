import type { Bundle, BundlePrincipal } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';
import type { OidcProvider } from './bundle-oidc.ts';

/** Smallest RSA modulus in bytes that may be pinned. */
const RSA_BYTES = 256;

/** Providers, keys and subjects named twice, people whose provider is not there, keys that are too short. */
export function checkOidc({ oidc, principals }: Bundle): Defect[] {
  const providers = oidc?.providers ?? [];
  const issuers = providers.map(({ issuer }) => issuer);
  return [
    ...twice(issuers, (index) => pointerOf('oidc', 'providers', index, 'issuer'), 'provider'),
    ...providers.flatMap(checkKeys),
    ...checkPeople(principals, new Set(issuers)),
  ];
}

function checkKeys({ keys }: OidcProvider, provider: number): Defect[] {
  const at = (...rest: (string | number)[]) => pointerOf('oidc', 'providers', provider, 'keys', ...rest);
  const kids = keys.map(({ kid }) => kid);
  const short = keys.flatMap((key, index): Defect[] => {
    if (key.kty !== 'RSA' || Buffer.from(key.n, 'base64url').length >= RSA_BYTES) return [];
    const pointer = at(index, 'n');
    return [{ pointer, found: 'an RSA key of less than 2,048 bits', write_instead: 'pin a longer key' }];
  });
  return [...twice(kids, (index) => at(index, 'kid'), 'key'), ...short];
}

function checkPeople(principals: Record<string, BundlePrincipal>, issuers: ReadonlySet<string>): Defect[] {
  const people = Object.entries(principals).filter(([, { oidc }]) => oidc !== undefined);
  const names = people.map(([, { oidc }]) => JSON.stringify([oidc?.issuer, oidc?.subject]));
  const at = (index: number) => pointerOf('principals', people[index]?.[0] ?? '', 'oidc');
  const strangers = people.flatMap(([, { oidc }], index): Defect[] => {
    if (oidc === undefined || issuers.has(oidc.issuer)) return [];
    const found = `the unknown provider ${oidc.issuer}`;
    return [{ pointer: at(index), found, write_instead: 'name one of oidc/providers' }];
  });
  return [...twice(names, at, 'person'), ...strangers];
}

function twice(names: readonly string[], at: (index: number) => string, what: string): Defect[] {
  return names.flatMap((name, index): Defect[] => {
    if (names.indexOf(name) === index) return [];
    return [{ pointer: at(index), found: `a second ${what} of this name`, write_instead: 'write each once' }];
  });
}
