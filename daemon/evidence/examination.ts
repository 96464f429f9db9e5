import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner } from '../formats/checkpoint.ts';
import { textOf } from '../formats/evidence.ts';
import type { Members } from './archive.ts';

/** Exit codes of verification (contract): changed, not covered by the quorum, unknown key, behind what is known elsewhere. */
export type FindingCode = 10 | 12 | 13 | 14;

/** One thing that does not hold. */
export interface Finding {
  code: FindingCode;
  /** Name of the member. */
  file: string;
  /** JSON pointer in it; null where the whole file is meant. */
  field: string | null;
  message: string;
}

/** One question that was put to the evidence. */
export interface Check {
  what: string;
  result: 'holds' | 'fails' | 'not_checked';
  /** What exactly holds, or why nobody could tell. */
  detail: string;
}

/** More of the same teaches nobody anything. */
const FINDINGS_MAX = 200;

/** Codes of errors that are about who signed. */
const UNKNOWN_SIGNERS: readonly string[] = ['in_toto.unknown_key', 'note.unknown_key'];

/** Collects what an examination of evidence finds. What one step could not establish, later steps do without. */
export class Examination {
  readonly members: Members;
  readonly findings: Finding[] = [];
  readonly checks: Check[] = [];
  /** Members that a check had a use for, where not all of a kind have one. */
  readonly used = new Set<string>();
  /** What is not proved, in sentences. */
  readonly unproved: string[] = [];

  constructor(members: Members) {
    this.members = members;
  }

  fail(
    file: string,
    message: string,
    { field = null, code = 10 }: { field?: string | null; code?: FindingCode } = {},
  ): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push({ code, file, field, message });
  }

  /** A member that has to be there; reports it missing and gives null when it is not. */
  need(file: string): Uint8Array | null {
    const bytes = this.members.get(file);
    if (bytes !== undefined) return bytes;
    this.fail(file, 'It is missing.');
    return null;
  }

  /** Text of a member that has to be there. */
  text(file: string): string | null {
    const bytes = this.need(file);
    return bytes === null ? null : textOf(bytes);
  }

  /**
   * Runs one step. It answers what it established in a sentence, or null when that could not be checked for a reason that
   * it names in `unproved`. What it throws about malformed input is a finding about `file`.
   */
  async step(what: string, file: string, run: () => Promise<Outcome> | Outcome): Promise<void> {
    const before = this.findings.length;
    let outcome: Outcome = { not_checked: 'it could not be read' };
    try {
      outcome = await run();
    } catch (error) {
      this.#stumbled(file, error);
    }
    const failed = this.findings.length > before;
    const open = typeof outcome === 'string' ? null : outcome.not_checked;
    const held = typeof outcome === 'string' ? outcome : '';
    this.checks.push({
      what,
      result: failed ? 'fails' : open === null ? 'holds' : 'not_checked',
      detail: failed ? (this.findings[before]?.message ?? '') : (open ?? held),
    });
  }

  /** Entries may have been forged in any shape: whatever trips over one is a finding about it, never a pass. */
  #stumbled(file: string, error: unknown): void {
    if (!(error instanceof Error)) throw error;
    if (!(error instanceof BoundaryError)) {
      this.fail(
        file,
        `What it holds, or what it names, cannot be understood: ${error.message.slice(0, 200)}.`,
      );
      return;
    }
    const unknown = isUnknownSigner(error) || UNKNOWN_SIGNERS.includes(error.code);
    const field = error.at?.startsWith('/') === true ? error.at : null;
    this.fail(file, error.message, { field, code: unknown ? 13 : 10 });
  }

  /** The exit code: tampering before a rollback, that before an unknown key, that before a missing quorum; 0 for nothing. */
  code(): 0 | FindingCode {
    const order: FindingCode[] = [10, 14, 13, 12];
    return order.find((code) => this.findings.some((finding) => finding.code === code)) ?? 0;
  }
}

/** A number with its noun. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** What a step established, or why it could not. */
export type Outcome = string | { not_checked: string };
