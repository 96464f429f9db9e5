import { Compile } from 'typebox/compile';
import { BoundaryError } from '../formats/boundary-error.ts';
import { assertCanonical } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { Json } from '../formats/json.ts';
import { BundleDefects, type Defect } from './bundle-defects.ts';
import { type Bundle, BundleSchema } from './bundle-schema.ts';
import { structureDefects } from './bundle-structure.ts';

export * from './bundle-schema.ts';

/** Largest bundle in bytes of canonical JSON, and its deepest nesting. */
export const BUNDLE_MAX_BYTES = 1_048_576;
const BUNDLE_MAX_DEPTH = 16;

let structure: ReturnType<typeof Compile<typeof BundleSchema>> | null = null;

/** What is wrong with the structure of a bundle-to-be; an empty list means that it is a `Bundle`. */
export function checkStructure(value: Json): Defect[] {
  structure ??= Compile(BundleSchema);
  if (structure.Check(value)) return [];
  const defects = structureDefects(BundleSchema, value);
  if (defects.length > 0) return defects;
  return [
    {
      pointer: '',
      found: 'a bundle that the schema refuses',
      write_instead: 'compare it with the JSON Schema',
    },
  ];
}

/**
 * Reads the bytes of a bundle: canonical JSON (RFC 8785) of the bundle schema. `digest` is the hex SHA-256 of the bytes,
 * the policy digest. What structure cannot say is for `compileBundle`.
 *
 * Throws `BoundaryError`: `bundle.too_large`, `bundle.not_canonical`; and `BundleDefects`, which lists every place.
 */
export function parseBundle(bytes: Uint8Array): { bundle: Bundle; digest: string } {
  if (bytes.length > BUNDLE_MAX_BYTES) {
    throw new BoundaryError(
      'bundle.too_large',
      `The bundle has ${bytes.length} bytes; ${BUNDLE_MAX_BYTES} is the most.`,
    );
  }
  const value = canonicalValue(bytes);
  if (depthOf(value) > BUNDLE_MAX_DEPTH) {
    throw new BoundaryError(
      'bundle.too_deep',
      `The bundle is nested deeper than ${BUNDLE_MAX_DEPTH} levels.`,
    );
  }
  const defects = checkStructure(value);
  if (defects.length > 0) throw new BundleDefects(defects);
  return { bundle: value as Bundle, digest: sha256Hex(bytes) };
}

function canonicalValue(bytes: Uint8Array): Json {
  try {
    return assertCanonical(bytes);
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(
      'bundle.not_canonical',
      `The bundle is not canonical JSON: ${cause.message} Build it with "policy build".`,
      { cause },
    );
  }
}

function depthOf(value: Json): number {
  if (typeof value !== 'object' || value === null) return 0;
  let deepest = 0;
  for (const member of Object.values(value)) deepest = Math.max(deepest, depthOf(member));
  return deepest + 1;
}

/** The public key lines of all principals. */
export function keyLines({ principals }: Bundle): string[] {
  return Object.values(principals).flatMap(({ keys }) => (keys ?? []).map(({ public_key }) => public_key));
}
