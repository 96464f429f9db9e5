import { sha256 } from '@noble/hashes/sha2.js';
import { toHex } from '../../formats/digest.ts';

/** How a tool ended: what the permit's outcome entry says. `unknown` means that it may have had its effect. */
export type RunResult = 'succeeded' | 'failed' | 'unknown';

/** Facts of one run for the outcome entry: codes, counts and digests, never output itself. */
export type OutcomeDetail = {
  exit_code?: number;
  signal?: string;
  duration_ms?: number;
  http_status?: number;
  /** Hex SHA-256 over the whole stream, kept or not. For `http` calls: the response body. */
  stdout_digest?: string;
  stderr_digest?: string;
  stdout_bytes?: number;
  stderr_bytes?: number;
  reason?: string;
};

/** What the tool printed, for the caller only. It is never recorded. */
export interface ToolOutput {
  stdout: Uint8Array;
  stderr: Uint8Array;
  truncated: boolean;
}

export interface ToolRun {
  result: RunResult;
  detail: OutcomeDetail;
  /** Null when the tool did not start. */
  output: ToolOutput | null;
}

/** Bytes of one stream after which a connector stops listening and ends the run. */
export const STREAM_HARD_LIMIT = 16 * 1024 * 1024;

/** One output stream: keeps the first `keep` bytes, counts and digests all of them. */
export class StreamCapture {
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #hash = sha256.create();
  #keep: number;
  bytes = 0;

  constructor(keep: number) {
    this.#keep = keep;
  }

  push(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
    const room = this.#keep - this.#keptBytes;
    if (room <= 0) return;
    const part = chunk.subarray(0, room);
    this.#kept.push(part);
    this.#keptBytes += part.length;
  }

  get truncated(): boolean {
    return this.bytes > this.#keptBytes;
  }

  kept(): Uint8Array {
    return Buffer.concat(this.#kept);
  }

  /** Hex SHA-256 of everything pushed so far; the capture may go on afterwards. */
  digest(): string {
    return toHex(this.#hash.clone().digest());
  }
}

/** A run that never began: nothing happened on the target. */
export function notStarted(reason: string): ToolRun {
  return { result: 'failed', detail: { reason: `not_started: ${reason}` }, output: null };
}
