import { BoundaryError } from '../formats/boundary-error.ts';
import { areStrictPublicKeys, isStrictPublicKey } from '../formats/ed25519.ts';
import { parseSpiffeId, SITE_PLACEHOLDER, withPlaceholder, withSite } from '../formats/spiffe.ts';
import {
  ED25519,
  parseKeyBlob,
  parsePublicKeyLine,
  SK_ECDSA,
  SK_ED25519,
} from '../formats/ssh-public-key.ts';
import { isCurvePoint } from '../formats/sshsig.ts';
import { type Bundle, type BundlePrincipal, keyLines } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';

/** Key types that a principal may be enrolled with; which of them count for which act is the engine's rule. */
const KEY_TYPES = [ED25519, SK_ED25519, SK_ECDSA, 'ecdsa-sha2-nistp256'];

/**
 * Keys that verify nothing or belong to two, identities claimed twice, scopes that reach nothing. `proven`: key lines that
 * were found to be proper before; looking at a curve point takes longer than all the rest.
 */
export function checkPrincipals(bundle: Bundle, proven: ReadonlySet<string>): Defect[] {
  const owners: Owners = { key: new Map(), uid: new Map(), spiffe_id: new Map() };
  const proper = provenTogether(bundle, proven);
  return Object.entries(bundle.principals)
    .flatMap(([id, principal]) => [
      ...checkKeys(id, principal, owners.key, proper),
      ...checkIdentities(id, principal, owners),
      ...checkAssertions(id, principal, bundle),
      ...checkScope(id, principal, bundle),
    ])
    .concat(checkSharedIds(bundle));
}

/**
 * `proven`, and the Ed25519 keys of the bundle besides, when all of them are proper: that is found faster for many than
 * for each. When one is not, they are looked at one by one, to name it.
 */
function provenTogether(bundle: Bundle, proven: ReadonlySet<string>): ReadonlySet<string> {
  const lines = new Map<string, Uint8Array>();
  for (const line of keyLines(bundle)) {
    const key = proven.has(line) ? null : ed25519In(line);
    if (key !== null) lines.set(line, key);
  }
  return areStrictPublicKeys([...lines.values()]) ? new Set([...proven, ...lines.keys()]) : proven;
}

/** Null for another kind of key, and for what is none. */
function ed25519In(line: string): Uint8Array | null {
  try {
    const parts = parseKeyBlob(parsePublicKeyLine(line).blob);
    return parts?.kind === 'ed25519' ? parts.publicKey : null;
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

interface Owners {
  key: Map<string, string>;
  uid: Map<string, string>;
  spiffe_id: Map<string, string>;
}

function checkKeys(
  id: string,
  { keys }: BundlePrincipal,
  owners: Map<string, string>,
  proven: ReadonlySet<string>,
): Defect[] {
  return (keys ?? []).flatMap(({ public_key }, index): Defect[] => {
    const pointer = pointerOf('principals', id, 'keys', index, 'public_key');
    const key = enrolledKey(public_key, proven.has(public_key));
    if (typeof key !== 'string') return [{ pointer, found: key.found, write_instead: key.write_instead }];
    return claim(owners, key, id, pointer, `the key ${key}`);
  });
}

/** The fingerprint of a key line that may be enrolled, or why not. */
function enrolledKey(line: string, proven: boolean): string | { found: string; write_instead: string } {
  const write_instead = `write one line of a .pub file: ${KEY_TYPES.join(', ')}`;
  try {
    const { type, blob, fingerprint } = parsePublicKeyLine(line);
    if (!KEY_TYPES.includes(type)) return { found: `a key of type ${type.slice(0, 60)}`, write_instead };
    const parts = parseKeyBlob(blob);
    if (!proven && parts?.kind === 'ed25519' && !isStrictPublicKey(parts.publicKey)) {
      // A key of small order verifies signatures that nobody made.
      return { found: 'an Ed25519 key that is no proper curve point', write_instead: 'generate a new key' };
    }
    if (!proven && parts?.kind === 'ecdsa' && !isCurvePoint(parts)) {
      return { found: 'an ECDSA key that is no point of its curve', write_instead: 'generate a new key' };
    }
    return fingerprint;
  } catch (error) {
    if (error instanceof BoundaryError) return { found: error.message, write_instead };
    throw error;
  }
}

function checkIdentities(id: string, { uid, spiffe_id, owner }: BundlePrincipal, owners: Owners): Defect[] {
  const defects: Defect[] = [];
  if (uid !== undefined) {
    defects.push(...claim(owners.uid, String(uid), id, pointerOf('principals', id, 'uid'), `uid ${uid}`));
  }
  if (spiffe_id !== undefined) {
    const pointer = pointerOf('principals', id, 'spiffe_id');
    const malformed = spiffeDefect(spiffe_id, pointer);
    defects.push(...(malformed ?? claim(owners.spiffe_id, spiffe_id, id, pointer, spiffe_id)));
  }
  if (owner === id) {
    const pointer = pointerOf('principals', id, 'owner');
    defects.push({
      pointer,
      found: 'a principal that owns itself',
      write_instead: 'name the responsible person',
    });
  }
  return defects;
}

function spiffeDefect(spiffe_id: string, pointer: string): Defect[] | null {
  try {
    parseSpiffeId(withSite(spiffe_id, 'site.example'));
    return null;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const write_instead = `spiffe://SITE/PATH, such as spiffe://${SITE_PLACEHOLDER}/agent/ops-1`;
    return [{ pointer, found: 'a SPIFFE ID that cannot be one', write_instead }];
  }
}

function claim(
  owners: Map<string, string>,
  identity: string,
  id: string,
  pointer: string,
  what: string,
): Defect[] {
  const owner = owners.get(identity);
  owners.set(identity, owner ?? id);
  if (owner === undefined) return [];
  return [
    { pointer, found: `${what}, which ${owner} has already`, write_instead: 'give each principal its own' },
  ];
}

/** An ID written for one site, and the same one left open for every site, name two principals there. */
function checkSharedIds({ principals, metadata }: Bundle): Defect[] {
  const open = new Map<string, string>();
  for (const [id, { spiffe_id }] of Object.entries(principals)) {
    if (spiffe_id?.includes(SITE_PLACEHOLDER)) open.set(spiffe_id, id);
  }
  if (open.size === 0) return [];
  return Object.entries(principals).flatMap(([id, { spiffe_id }]): Defect[] => {
    if (spiffe_id === undefined || open.has(spiffe_id)) return [];
    const other = metadata.sites
      .map((site) => open.get(withPlaceholder(spiffe_id, site) ?? ''))
      .find((owner) => owner !== undefined);
    if (other === undefined) return [];
    const pointer = pointerOf('principals', id, 'spiffe_id');
    return [
      {
        pointer,
        found: `${spiffe_id}, which ${other} has already`,
        write_instead: 'give each principal its own',
      },
    ];
  });
}

const KINDS: readonly string[] = ['human', 'agent', 'service'];

/** Names that nobody has can be asserted by nobody: one of them is misspelt. */
function checkAssertions(id: string, { may_assert }: BundlePrincipal, { principals }: Bundle): Defect[] {
  return (may_assert ?? []).flatMap((name, index): Defect[] => {
    if (KINDS.includes(name) || Object.hasOwn(principals, name)) return [];
    const pointer = pointerOf('principals', id, 'may_assert', index);
    return [
      {
        pointer,
        found: `the unknown principal "${name}"`,
        write_instead: 'write an id of the roster, or human, agent or service',
      },
    ];
  });
}

function checkScope(id: string, { scope }: BundlePrincipal, bundle: Bundle): Defect[] {
  const defects: Defect[] = [];
  const at = (member: string, index: number) => pointerOf('principals', id, 'scope', member, index);
  scope?.classes?.forEach((name, index) => {
    if (Object.hasOwn(bundle.actions, name)) return;
    defects.push({
      pointer: at('classes', index),
      found: `the unknown class "${name}"`,
      write_instead: `write one of ${Object.keys(bundle.actions).join(', ')}`,
    });
  });
  scope?.environments?.forEach((name, index) => {
    if (Object.hasOwn(bundle.environments, name)) return;
    defects.push({
      pointer: at('environments', index),
      found: `the unknown environment "${name}"`,
      write_instead: `write one of ${Object.keys(bundle.environments).join(', ')}`,
    });
  });
  const types = new Set(Object.values(bundle.actions).map(({ target }) => target.type));
  scope?.targets?.forEach((target, index) => {
    const type = target.slice(0, target.indexOf(':'));
    if (target.includes(':') && types.has(type)) return;
    defects.push({
      pointer: at('targets', index),
      found: `the target "${target.slice(0, 80)}"`,
      write_instead: `write TYPE:ID with one of the types ${[...types].join(', ')}`,
    });
  });
  return defects;
}
