import type { Bundle } from '../../core/bundle.ts';
import { BundleDefects, describeDefect } from '../../core/bundle-defects.ts';
import { EXIT, endWith } from '../exit.ts';
import { print, printJson } from '../render/output.ts';
import { count, paint, rows } from '../render/text.ts';

/** A policy that a command works on: built from a directory, or a bundle file as it is. */
export interface Subject {
  bundle: Bundle;
  bytes: Uint8Array;
  digest: string;
}

/** What `read` gives, or null after the defects that it found have been said and the exit code is set. */
export function orReport<T>(dir: string, options: { json?: boolean }, read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BundleDefects)) throw error;
    if (options.json) printJson({ ok: false, defects: error.defects });
    else {
      const head = `${paint('red', 'DEFECTIVE')}  ${dir}: ${count(error.defects.length, 'defect')}; a site would refuse it whole`;
      print([head, ...error.defects.map((defect) => `  ${describeDefect(defect)}`)].join('\n'));
    }
    endWith(EXIT.usage);
    return null;
  }
}

/** A policy for programs. */
export function summary({ bundle, bytes, digest }: Subject) {
  const { name, version } = bundle.metadata;
  return { name, version, digest, bytes: bytes.length };
}

/** A policy for people: what it is called, what it covers. */
export function renderPolicy({ bundle, bytes, digest }: Subject): string {
  const { name, version, sites } = bundle.metadata;
  return rows([
    ['policy', `${name}@${version}`],
    ['digest', digest],
    ['size', count(bytes.length, 'byte')],
    ['sites', sites.join(', ')],
    ['classes', Object.keys(bundle.actions).join(', ')],
    [
      'rules',
      `${count(bundle.gates.length, 'gate')}, ${count(bundle.risk.factors.length, 'risk factor')}, ${count(bundle.authority.routes.length, 'route')}`,
    ],
  ]);
}
