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
const STORAGE = /^(ledger|head|database)\./;

/**
 * Maps anything a command threw to the contract's exit codes and to words. What a command expects it handles itself;
 * what arrives here is: bad input (2), a refusal of the daemon (3), files that cannot be used or a daemon that is not there (5), or a bug (1).
 */
export function describeFailure(error: unknown): FailureReport {
  if (error instanceof BoundaryError) {
    const named = error.at === undefined || error.at === '' || error.message.includes(error.at);
    const place = named ? '' : ` (at ${error.at})`;
    const exitCode = STORAGE.test(error.code) ? EXIT.unavailable : EXIT.usage;
    return report(exitCode, error.code, `${error.message}${place}`);
  }
  if (isNamed(error, 'ApiUnreachable'))
    return report(EXIT.unavailable, 'daemon.unreachable', unreachable(error));
  if (isNamed(error, 'ApiProblem')) {
    const problem = error as ProblemLike;
    return report(
      exitCodeOf(problem.status),
      problem.code,
      `${problem.detail} [${problem.code}]`,
      problem.status,
    );
  }
  return bug(error);
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

function unreachable(error: Error): string {
  const mayHaveArrived = 'sent' in error && error.sent === true;
  const sequel = mayHaveArrived
    ? 'The request may have been acted on: look with `holdfast decision list` before you repeat it.'
    : `Nothing was asked and nothing ran. Start it with: holdfast ${error.message.includes('gateway.sock') ? 'gateway' : 'daemon'}`;
  return `${error.message}\n${sequel}`;
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
