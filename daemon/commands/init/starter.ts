import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, isMap, parseDocument } from 'yaml';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { makeDir, readBounded, writeDurable } from '../../host/durable-file.ts';
import { embeddedFolder, embedding } from '../../host/embedded.ts';

const FILE_MAX_BYTES = 1_048_576;
const MAX_FILES = 200;

const STARTER = 'policies/field-site';

/** The bundle that a dev site starts from: a directory of the checkout, or of what the executable carries. */
export const STARTER_POLICY =
  embedding() === null
    ? fileURLToPath(new URL(`../../../${STARTER}`, import.meta.url))
    : `embedded:${STARTER}`;

/** Copies a policy directory (YAML files, and `tests/`) to `to`; nothing else of it, and no links. */
export function copyPolicy(from: string, to: string): void {
  makeDir(to, 0o755);
  if (from === STARTER_POLICY && copyEmbedded(to)) return;
  copyYaml(from, to);
  const subdirectories = readdirSync(from, { withFileTypes: true }).filter((file) => file.isDirectory());
  if (!subdirectories.some(({ name }) => name === 'tests')) return;
  makeDir(join(to, 'tests'), 0o755);
  copyYaml(join(from, 'tests'), join(to, 'tests'));
}

/** Writes the starter policy that an executable carries; false in a checkout. */
function copyEmbedded(to: string): boolean {
  const files = embeddedFolder(STARTER);
  if (files === null) return false;
  makeDir(join(to, 'tests'), 0o755);
  for (const [name, bytes] of files) writeDurable(join(to, name), bytes, 0o644);
  return true;
}

/** Makes a copied policy this site's own: who it is for, when it was issued. Comments stay. */
export function adoptPolicy(dir: string, { sites, issuedAt }: { sites: string[]; issuedAt: string }): void {
  editYaml(join(dir, 'metadata.yaml'), (document) => {
    document.set('sites', sites);
    document.set('issued_at', issuedAt);
  });
}

/** Edits a YAML file in place, keeping its comments. Throws BoundaryError `init.bad_policy` when it is not YAML. */
export function editYaml<T>(path: string, edit: (document: Document) => T): T {
  const document = parseDocument(Buffer.from(readBounded(path, FILE_MAX_BYTES)).toString('utf8'));
  const [error] = document.errors;
  if (error !== undefined || !isMap(document.contents)) {
    throw new BoundaryError(
      'init.bad_policy',
      `${basename(path)} of the policy is not a YAML map${error === undefined ? '' : `: ${error.message}`}. No site was made.`,
      { at: path },
    );
  }
  const result = edit(document);
  writeDurable(path, Buffer.from(document.toString({ lineWidth: 0 }), 'utf8'), 0o644);
  return result;
}

function copyYaml(from: string, to: string): void {
  const names = readdirSync(from).filter((name) => /^[A-Za-z0-9][A-Za-z0-9_.-]*\.yaml$/.test(name));
  if (names.length > MAX_FILES)
    throw new BoundaryError(
      'init.bad_policy',
      `${from} holds more than ${MAX_FILES} YAML files; no site was made.`,
      { at: from },
    );
  for (const name of names)
    writeDurable(join(to, name), readBounded(join(from, name), FILE_MAX_BYTES), 0o644);
}
