import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BUNDLE_MAX_BYTES, type Bundle, checkStructure } from '../core/bundle.ts';
import { BundleDefects, type Defect } from '../core/bundle-defects.ts';
import { type CompiledBundle, compileBundle } from '../core/compile.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalBytes } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { nearest } from '../formats/spelling.ts';
import { errorCode, readBounded } from '../host/durable-file.ts';
import { readYaml } from './yaml-value.ts';

const BUNDLE_SCHEMA = 'holdfast/bundle/v1';
const FILE_MAX_BYTES = 1_048_576;

/** One file per section of the bundle. The others may be left out. */
const REQUIRED = ['metadata', 'environments', 'actions', 'tools', 'gates', 'risk', 'authority', 'principals'];
const OPTIONAL = [
  'activation',
  'anchoring',
  'anomalies',
  'approvals',
  'breakglass',
  'headquarters',
  'incidents',
  'labels',
  'limits',
  'oidc',
  'privacy',
  'reading',
  'retention',
  'secrets',
  'suspension',
  'time',
];

/** A policy directory, read and checked. */
export interface PolicySource {
  bundle: Bundle;
  /** RFC 8785 JSON: what is published, signed and pinned. The same directory always gives the same bytes. */
  bytes: Uint8Array;
  /** Hex SHA-256 of `bytes`: the policy digest. */
  digest: string;
  compiled: CompiledBundle;
  /** Adds file and line to what is said about the bundle. */
  locate<T extends Defect>(defect: T): T;
}

/**
 * Builds a bundle from a directory of YAML files, one per section (`metadata.yaml`, `gates.yaml`, …). `tests/` is not
 * part of it. Throws `BundleDefects` that names file, line and what to write instead for everything that is wrong, or
 * `BoundaryError` `policy.not_a_directory`, `bundle.too_large`.
 */
export function readPolicyDirectory(dir: string): PolicySource {
  const sections = readSections(dir);
  const defects = sections.flatMap(({ defects }) => defects);
  if (defects.length > 0) throw new BundleDefects(defects);

  const source: JsonObject = { schema: BUNDLE_SCHEMA };
  for (const { name, value } of sections) source[name] = value;
  const structural = checkStructure(source);
  if (structural.length > 0) throw new BundleDefects(structural.map((defect) => located(defect, sections)));

  const bytes = canonicalBytes(source);
  if (bytes.length > BUNDLE_MAX_BYTES) {
    throw new BoundaryError(
      'bundle.too_large',
      `The policy builds to ${bytes.length} bytes; ${BUNDLE_MAX_BYTES} is the most. Split it by environment.`,
      { at: dir },
    );
  }
  const bundle = source as unknown as Bundle;
  const digest = sha256Hex(bytes);
  return {
    bundle,
    bytes,
    digest,
    compiled: compile(bundle, digest, sections),
    locate: (defect) => located(defect, sections),
  };
}

/** A YAML file of the directory, as the section that it becomes. */
interface Section {
  name: string;
  file: string;
  value: Json;
  lines: ReadonlyMap<string, number>;
  defects: Defect[];
}

function readSections(dir: string): Section[] {
  const names = sectionNames(dir);
  const defects: Defect[] = REQUIRED.filter((name) => !names.includes(name)).map((name) => ({
    pointer: `/${name}`,
    found: `no ${name}.yaml`,
    write_instead: `add it to ${dir}`,
  }));
  if (defects.length > 0) throw new BundleDefects(defects);
  return names.map((name) => readSection(dir, name));
}

/** A file that no section is made of is refused: rules in a misspelt `gate.yaml` must not vanish. */
function sectionNames(dir: string): string[] {
  const known = [...REQUIRED, ...OPTIONAL];
  const files = listDirectory(dir).filter((name) => /\.(?:ya?ml|json)$/i.test(name));
  const foreign = files.filter((name) => !known.some((section) => name === `${section}.yaml`));
  if (foreign.length > 0) {
    const names = known.map((section) => `${section}.yaml`);
    throw new BundleDefects(
      foreign.map((file) => {
        const near = nearest(file.replace(/\.[^.]*$/, ''), known);
        const write_instead =
          near === null || files.includes(`${near}.yaml`)
            ? `use one of ${names.join(', ')}; table tests go to tests/`
            : `did you mean ${near}.yaml?`;
        return { pointer: '', file, found: 'a file that is no section', write_instead };
      }),
    );
  }
  return known.filter((section) => files.includes(`${section}.yaml`));
}

function listDirectory(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch (cause) {
    const why = errorCode(cause) === 'ENOENT' ? 'There is no' : 'This is not a readable';
    throw new BoundaryError('policy.not_a_directory', `${why} policy directory ${dir}.`, { at: dir, cause });
  }
}

function readSection(dir: string, name: string): Section {
  const file = `${name}.yaml`;
  const { value, lines, defects } = readYaml(decode(readBounded(join(dir, file), FILE_MAX_BYTES), file));
  return {
    name,
    file,
    value,
    lines,
    defects: defects.map((defect) => ({ pointer: `/${name}`, file, ...defect })),
  };
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new BoundaryError('policy.not_utf8', `${file} is not UTF-8 text.`, { at: file, cause });
  }
}

function compile(bundle: Bundle, digest: string, sections: readonly Section[]): CompiledBundle {
  try {
    return compileBundle(bundle, digest);
  } catch (error) {
    if (!(error instanceof BundleDefects)) throw error;
    throw new BundleDefects(error.defects.map((defect) => located(defect, sections)));
  }
}

/** File and line of a defect: of the nearest value around it that the author wrote. */
function located<T extends Defect>(defect: T, sections: readonly Section[]): T {
  const [, name = '', ...rest] = defect.pointer.split('/');
  const section = sections.find((candidate) => candidate.name === name);
  if (section === undefined) return defect;
  for (let depth = rest.length; depth >= 0; depth--) {
    const line = section.lines.get(
      rest
        .slice(0, depth)
        .map((token) => `/${token}`)
        .join(''),
    );
    if (line !== undefined) return { ...defect, file: section.file, line };
  }
  return { ...defect, file: section.file };
}
