/** Contract, exit codes of verification. */
export type FindingCode = 10 | 11 | 12 | 13 | 14;
export type VerifyCode = 0 | FindingCode;

/** One thing that verification found. `where` names a row or file, `detail` says what is wrong with it, for people. */
export interface Finding {
  code: FindingCode;
  what:
    | 'file'
    | 'log'
    | 'schema'
    | 'entry'
    | 'stream'
    | 'tree'
    | 'checkpoint'
    | 'head'
    | 'projection'
    | 'archive'
    | 'trust'
    | 'kind';
  where: string;
  detail: string;
  /** Log index, where it is about an entry. */
  index?: number;
  /** JSON pointer of the member of that entry, as far as it can be told. */
  field?: string;
}

/** A damaged page can put a thousand rows in the wrong; the first ones say where to look. */
const MAX_KEPT = 100;

/** What is worst: altered content, then missing history, then an unknown signer, then the harmless kinds. */
const SEVERITY: readonly FindingCode[] = [10, 14, 13, 11, 12];

/** What one verification found: the first findings whole, the rest counted. */
export class Findings {
  readonly kept: Finding[] = [];
  total = 0;
  readonly #codes = new Set<FindingCode>();

  add(finding: Finding): void {
    this.total++;
    this.#codes.add(finding.code);
    if (this.kept.length < MAX_KEPT) this.kept.push(finding);
  }

  /** Counts one more that is like others which were kept. */
  addUnnamed(code: FindingCode): void {
    this.total++;
    this.#codes.add(code);
  }

  addAll(findings: readonly Finding[]): void {
    for (const finding of findings) this.add(finding);
  }

  /** Puts what explains the others before them. */
  lead(findings: readonly Finding[]): void {
    const before = this.kept.splice(0);
    this.total -= before.length;
    this.addAll([...findings, ...before]);
  }

  /** The code that the whole verification ends with. */
  code(): VerifyCode {
    return SEVERITY.find((code) => this.#codes.has(code)) ?? 0;
  }
}

export function tampered(what: Finding['what'], where: string, detail: string, index?: number): Finding {
  return { code: 10, what, where, detail, ...(index === undefined ? {} : { index }) };
}
