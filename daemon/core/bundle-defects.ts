import { BoundaryError } from '../formats/boundary-error.ts';

/** One thing that is wrong with a policy bundle, and what to write in its place. */
export interface Defect {
  /** JSON pointer (RFC 6901) into the bundle. */
  pointer: string;
  /** Where the author finds it, when the bundle comes from a directory of YAML files. */
  file?: string;
  line?: number;
  found: string;
  write_instead: string;
}

/** How many defects the message spells out; `defects` always holds all. */
const SHOWN = 5;

/** A bundle is refused whole, with everything that is wrong with it (code `bundle.defective`). */
export class BundleDefects extends BoundaryError {
  readonly defects: readonly Defect[];

  constructor(defects: readonly Defect[]) {
    const [first] = defects;
    super('bundle.defective', summary(defects), first === undefined ? {} : { at: placeOf(first) });
    this.defects = defects;
  }
}

/** `gates.yaml:12` where the author wrote it, else the JSON pointer. */
export function placeOf({ file, line, pointer }: Defect): string {
  if (file === undefined) return pointer === '' ? 'bundle' : pointer;
  return line === undefined ? file : `${file}:${line}`;
}

/** One line for people: place, what was found, what to write instead. */
export function describeDefect(defect: Defect): string {
  return `${placeOf(defect)}: found ${defect.found}; ${defect.write_instead}`;
}

function summary(defects: readonly Defect[]): string {
  const count = defects.length === 1 ? 'a defect' : `${defects.length} defects`;
  const shown = defects.slice(0, SHOWN).map((defect) => `\n- ${describeDefect(defect)}`);
  const rest = defects.length > SHOWN ? `\n- and ${defects.length - SHOWN} more` : '';
  return `The bundle has ${count} and is refused whole:${shown.join('')}${rest}`;
}

/** Escapes one reference token of a JSON pointer. */
export function pointerToken(key: string | number): string {
  return String(key).replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Joins reference tokens to a JSON pointer. */
export function pointerOf(...path: (string | number)[]): string {
  return path.map((token) => `/${pointerToken(token)}`).join('');
}
