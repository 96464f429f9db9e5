import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { EXIT } from './exit.ts';

export interface FailureReport {
  exitCode: number;
  /** For people, on stderr. */
  text: string;
  /** For programs, on stdout under `--json`. */
  document: JsonObject;
}

/** What the API client throws, told apart by name so that commands that never connect need not load it. */
interface ProblemLike extends Error {
  status: number;
  code: string;
  detail: string;
}

/** What the site's own files are not fit for, in codes: nothing that was typed is wrong. */
const STORAGE = /^(ledger|head|database)\.(?!entry_not_found$)/;

/** Another process of the same kind runs: as unavailable as a ledger that somebody else writes. */
const IN_USE: readonly string[] = ['socket.in_use', 'publish.in_use'];

/** A trust file that is not what headquarters signed, or a program that is not what was released: a verification failed. */
const VERIFICATIONS: Readonly<Record<string, number>> = {
  'addon.changed': EXIT.tampered,
  'program.changed': EXIT.tampered,
  'manifest.unsigned': EXIT.unknownKey,
  'trust.bad_countersignature': EXIT.tampered,
  'trust.too_few_countersignatures': EXIT.tampered,
  'trust.unknown_countersigner': EXIT.unknownKey,
};

/** What the operating system says about files, in words; none of it is a defect of ours. */
const FILE_ERRORS: Readonly<Record<string, { exitCode: number; words: string }>> = {
  ENOENT: { exitCode: EXIT.usage, words: 'there is no such file or directory' },
  ENOTDIR: { exitCode: EXIT.usage, words: 'a part of the path is not a directory' },
  EISDIR: { exitCode: EXIT.usage, words: 'it is a directory' },
  EEXIST: { exitCode: EXIT.usage, words: 'it exists already' },
  ENAMETOOLONG: { exitCode: EXIT.usage, words: 'the name is too long' },
  ELOOP: { exitCode: EXIT.usage, words: 'it is a link, and links are not followed' },
  EACCES: { exitCode: EXIT.usage, words: 'this account may not do that; check owner and mode' },
  EPERM: { exitCode: EXIT.usage, words: 'this account may not do that; check owner and mode' },
  EROFS: { exitCode: EXIT.unavailable, words: 'the file system is read-only' },
  ENOSPC: { exitCode: EXIT.unavailable, words: 'the disk is full' },
  EDQUOT: { exitCode: EXIT.unavailable, words: 'the disk quota is used up' },
  EIO: { exitCode: EXIT.unavailable, words: 'the disk reports an error' },
  EMFILE: { exitCode: EXIT.unavailable, words: 'too many files are open' },
};

/**
 * Maps anything a command threw to the contract's exit codes and to words. What a command expects it handles itself;
 * what arrives here is: bad input (2), a refusal of the daemon (3), files that cannot be used or a daemon that is not there (5), or a bug (1).
 */
export function describeFailure(error: unknown): FailureReport {
  if (error instanceof BoundaryError) {
    const named = error.at === undefined || error.at === '' || error.message.includes(error.at);
    const place = named ? '' : ` (at ${error.at})`;
    const unavailable = STORAGE.test(error.code) || IN_USE.includes(error.code);
    if (Object.hasOwn(VERIFICATIONS, error.code)) {
      return report(
        VERIFICATIONS[error.code] ?? EXIT.tampered,
        error.code,
        `${error.message} [${error.code}]`,
      );
    }
    const exitCode = unavailable ? EXIT.unavailable : EXIT.usage;
    return report(exitCode, error.code, `${error.message}${place}`);
  }
  if (isNamed(error, 'ApiUnreachable'))
    return report(EXIT.unavailable, `${roleBehind(error)}.unreachable`, unreachable(error));
  if (isNamed(error, 'ApiProblem')) {
    const problem = error as ProblemLike;
    return report(
      exitCodeOf(problem.status),
      problem.code,
      `${problem.detail} [${problem.code}]`,
      problem.status,
    );
  }
  return fileTrouble(error) ?? bug(error);
}

/** Words for what the operating system refused about a named file; null for everything else. */
function fileTrouble(error: unknown): FailureReport | null {
  // Only calls on an open file do not say which.
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return null;
  const known = FILE_ERRORS[String(error.code)];
  if (known === undefined) return null;
  const where = 'path' in error ? `${String(error.path)}: ` : '';
  const text = `${where}${known.words} (${String(error.code)}). The command stopped there; put it right and repeat.`;
  return report(known.exitCode, 'file.trouble', text);
}

/** Exit code for a problem document's HTTP status: the caller's mistake, a refusal, unavailability, or our bug. */
export function exitCodeOf(status: number): number {
  if (status === 400 || status === 404 || status === 405 || status === 413 || status === 415)
    return EXIT.usage;
  if (status === 500) return EXIT.bug;
  if (status === 429 || status >= 500) return EXIT.unavailable;
  return EXIT.refused;
}

function report(exitCode: number, code: string, text: string, status?: number): FailureReport {
  const error: JsonObject = { code, message: text };
  if (status !== undefined) error.status = status;
  return { exitCode, text, document: { error } };
}

/** The process that should have answered, told by its socket. */
function roleBehind(error: Error): 'daemon' | 'gateway' {
  return error.message.includes('gateway.sock') ? 'gateway' : 'daemon';
}

function unreachable(error: Error): string {
  const what = `${error.message.slice(0, 1).toUpperCase()}${error.message.slice(1)}.`;
  if ('sent' in error && error.sent === true) {
    return `${what}\nThe request may have been acted on: look with "holdfast decision list" before you repeat it.`;
  }
  const absent = error.message.startsWith('nothing listens');
  const next = absent ? ` Start it with: holdfast ${roleBehind(error)}` : '';
  return `${what}\nNothing was asked and nothing ran.${next}`;
}

function bug(error: unknown): FailureReport {
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  const debug = process.env.HOLDFAST_DEBUG !== undefined && process.env.HOLDFAST_DEBUG !== '';
  const text = debug && stack !== undefined ? `unexpected failure: ${stack}` : unexpected(message);
  return report(EXIT.bug, 'internal', text);
}

function unexpected(message: string): string {
  return `unexpected failure: ${message}\nThis is a defect of holdfast. Set HOLDFAST_DEBUG=1 and repeat to see where.`;
}

function isNamed(error: unknown, name: string): error is Error {
  return error instanceof Error && error.name === name;
}
