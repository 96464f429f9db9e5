import type { Bundle, BundlePrincipal } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { ED25519, parsePublicKeyLine, SK_ECDSA, SK_ED25519 } from '../../formats/ssh-public-key.ts';
import { listed } from '../diff/words.ts';
import type { Finding } from './finding.ts';

const SECURITY_KEYS = [SK_ED25519, SK_ECDSA];
const COUNTING = [ED25519, ...SECURITY_KEYS];

/**
 * `keys.never_count`: keys whose signatures count nowhere. `keys.no_pin`: people who hold a role that demands a PIN and have
 * no security key to give one with; keys in files that are told to ask for one.
 */
export function keyFindings(bundle: Bundle): Finding[] {
  const demanded = bundle.approvals?.require_pin_for ?? [];
  return Object.entries(bundle.principals).flatMap(([id, principal]) => [
    ...keysOf(principal).flatMap((key) => unfit(id, key)),
    ...pinless(id, principal, demanded),
  ]);
}

interface Key {
  index: number;
  type: string;
  active: boolean;
  pin: boolean;
}

function keysOf({ keys }: BundlePrincipal): Key[] {
  return (keys ?? []).map(({ public_key, status, require_pin }, index) => ({
    index,
    type: parsePublicKeyLine(public_key).type,
    active: (status ?? 'active') === 'active',
    pin: require_pin === true,
  }));
}

function unfit(id: string, { index, type, active, pin }: Key): Finding[] {
  if (!active) return [];
  const pointer = pointerOf('principals', id, 'keys', index);
  if (!COUNTING.includes(type)) {
    return [
      {
        severity: 'warning',
        check: 'keys.never_count',
        pointer,
        found: `a key of type ${type}, whose signatures count nowhere`,
        write_instead: `enrol a key of type ${listed(COUNTING, 'or')}`,
      },
    ];
  }
  if (!pin || SECURITY_KEYS.includes(type)) return [];
  return [
    {
      severity: 'error',
      check: 'keys.no_pin',
      pointer: `${pointer}/require_pin`,
      found: 'a key in a file, which can show no PIN, so it never counts',
      write_instead: 'enrol a security key, or leave require_pin out',
    },
  ];
}

function pinless(id: string, principal: BundlePrincipal, demanded: readonly string[]): Finding[] {
  const roles = principal.roles.filter((role) => demanded.includes(role));
  const able = keysOf(principal).some(({ type, active }) => active && SECURITY_KEYS.includes(type));
  if (roles.length === 0 || able || principal.kind !== 'human' || principal.status !== 'active') return [];
  return [
    {
      severity: 'warning',
      check: 'keys.no_pin',
      pointer: pointerOf('principals', id, 'keys'),
      found: `${id}, who holds ${listed(roles)} but has no security key: without a PIN no signature counts there`,
      write_instead: 'enrol a security key of theirs, or take the role out of approvals/require_pin_for',
    },
  ];
}
