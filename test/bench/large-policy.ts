import {
  BUNDLE_MAX_BYTES,
  type Bundle,
  type BundleActionClass,
  type BundlePrincipal,
} from '../../daemon/core/bundle.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256 } from '../../daemon/formats/digest.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import type { Json } from '../../daemon/formats/json.ts';
import { ed25519Blob } from '../../daemon/formats/ssh-public-key.ts';

/** How many of each a large policy gets on top of what the small one has; people fill up the rest. */
const CLASSES = 240;
const GATES = 480;
const FACTORS = 480;
const ROUTES = 400;
/** Bytes that stay free, more than one person takes. */
const REST = 600;

/**
 * The bundle with so much added that it is as large as a bundle may be: classes with payload rules, gates and risk
 * factors with conditions of their own, routes, and people with keys. What the small one says of its own classes stays.
 * Another version is another bundle in every condition.
 */
export function largeBundle(small: Bundle, version: number): { bundle: Bundle; bytes: Uint8Array } {
  const bundle = structuredClone(small);
  bundle.metadata.version = version;
  const [tool = ''] = Object.keys(bundle.tools);
  const classes = Array.from({ length: CLASSES }, (_, n) => `maintain_unit_${n}`);
  const some = (n: number): string[] => [0, 7, 31].map((step) => classes[(n + step) % CLASSES] ?? '');
  for (const [n, name] of classes.entries()) bundle.actions[name] = actionClass(n, tool);
  for (let n = 0; n < GATES; n++)
    bundle.gates.push({
      id: `gate-${n}`,
      classes: some(n),
      condition: condition(n, version),
      otherwise: 'fail',
      reason: `Rule ${n} of the handbook of maintenance asks for this before any unit of its kind is touched.`,
    });
  for (let n = 0; n < FACTORS; n++)
    bundle.risk.factors.push({
      id: `factor-${n}`,
      classes: some(n + 3),
      condition: condition(n + GATES, version),
      weight: 0.01,
      reason: `Experience ${n} says that this makes the work on such units a little riskier.`,
    });
  for (let n = 0; n < ROUTES; n++)
    bundle.authority.routes.push({
      id: `route-${n}`,
      classes: some(n),
      bands: ['low', 'medium', 'high'],
      require: [{ group: 'operators', roles: ['L2'], min_signatures: 1 + (n % 2) }],
    });
  return filledWithPeople(bundle);
}

function actionClass(n: number, tool: string): BundleActionClass {
  return {
    description: `Maintain the units of kind ${n} as their handbook says.`,
    target: { type: 'unit', id_pattern: `unit-${n}-[a-z0-9][a-z0-9-]{0,40}` },
    payload: {
      window_seconds: { type: 'integer', required: true, minimum: 1, maximum: 86_400 + n },
      level: { type: 'integer', required: true, minimum: 0, maximum: 100 },
      ticket: { type: 'string', required: true, pattern: `[A-Z]{2,5}-${n}-[0-9]{1,8}`, max_length: 40 },
      mode: { type: 'string', required: true, enum: ['inspect', 'replace', 'calibrate', `special-${n}`] },
      parts: { type: 'string_list', pattern: '[a-z0-9-]{1,32}', max_items: 16, max_length: 32 },
    },
    base_risk: 0.1,
    tool,
  };
}

/** No two alike, as in a policy that people wrote over years. */
function condition(n: number, version: number): string {
  return [
    `payload.level <= ${(n % 90) + 10} || payload.mode == "inspect"`,
    `!has(payload.parts) || payload.parts.all(p, p.startsWith("u${n}-") || p in ["seal", "bolt-${version}", "filter"])`,
    `payload.window_seconds < ${3_600 + n} && actor.role in ["agent", "L2", "L3"]`,
    `payload.ticket.matches("[A-Z]+-[0-9]+-${n}[0-9]*") || environment != "production" || payload.level < 5`,
  ]
    .map((part) => `(${part})`)
    .join(' && ');
}

function filledWithPeople(bundle: Bundle): { bundle: Bundle; bytes: Uint8Array } {
  let bytes = canonicalBytes(bundle as unknown as Json);
  for (let n = 0; bytes.length < BUNDLE_MAX_BYTES - REST; ) {
    const size = JSON.stringify(person(n)).length + 40;
    const fit = Math.max(1, Math.floor((BUNDLE_MAX_BYTES - REST - bytes.length) / size) - 1);
    for (const end = n + fit; n < end; n++) bundle.principals[`human:member-${n}`] = person(n);
    bytes = canonicalBytes(bundle as unknown as Json);
  }
  return { bundle, bytes };
}

function person(n: number): BundlePrincipal {
  const blob = ed25519Blob(publicKeyOf(sha256(Buffer.from(`member ${n}`))));
  return {
    kind: 'human',
    display_name: `Member ${n} of the crew`,
    roles: ['L2'],
    status: 'active',
    keys: [{ public_key: `ssh-ed25519 ${Buffer.from(blob).toString('base64')} member-${n}` }],
  };
}
