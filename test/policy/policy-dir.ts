import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const FIELD_SITE = fileURLToPath(new URL('../../policies/field-site', import.meta.url));

/** A copy of the starter policy that a test may spoil. */
export class PolicyDir {
  readonly path = mkdtempSync(join(tmpdir(), 'holdfast-policy-'));

  constructor(from: string = FIELD_SITE) {
    cpSync(from, this.path, { recursive: true });
  }

  file(name: string): string {
    return join(this.path, name);
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8');
  }

  write(name: string, text: string): void {
    writeFileSync(this.file(name), text);
  }

  /** Replaces one piece of a file; a piece that is not there is a mistake of the test. */
  edit(name: string, from: string, to: string): void {
    const before = readFileSync(this.file(name), 'utf8');
    if (!before.includes(from)) throw new Error(`${name} does not hold ${from}`);
    this.write(name, before.replace(from, to));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
