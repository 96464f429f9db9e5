import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Problem } from '../engine/protocol.ts';

/** Seconds after which a client that was told 429 or 503 may try again. */
const RETRY_AFTER_SECONDS = 1;

/** Writes one answer. `last` closes the connection after it. */
export function sendReply(
  raw: ServerResponse,
  status: number,
  { mediaType, payload }: { mediaType: string; payload: string | Buffer },
  last: boolean,
): void {
  const headers: Record<string, string | number> = {
    'content-type': mediaType,
    'content-length': typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length,
    'cache-control': 'no-store',
  };
  if (status === 429 || status === 503) headers['retry-after'] = RETRY_AFTER_SECONDS;
  if (last) headers.connection = 'close';
  raw.writeHead(status, headers);
  raw.end(payload);
}

/** Sends a problem document with its own status (RFC 9457). */
export function sendProblem(raw: ServerResponse, document: Problem, last: boolean): void {
  const payload = JSON.stringify(document);
  sendReply(raw, document.status, { mediaType: 'application/problem+json', payload }, last);
}

/** The bytes of a last answer on a connection where no request could be read. */
export function rawProblem(document: Problem): string {
  const body = JSON.stringify(document);
  const retry =
    document.status === 429 || document.status === 503 ? `retry-after: ${RETRY_AFTER_SECONDS}\r\n` : '';
  return `HTTP/1.1 ${document.status} ${STATUS_CODES[document.status] ?? 'Error'}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${retry}connection: close\r\n\r\n${body}`;
}
