import { connect, type Socket } from 'node:net';
import type { HttpLoad, LoadResult } from './job.ts';
import { Recorder } from './recorder.ts';

/*
 * The cheapest honest HTTP/1.1 client: it shares the machine's cores with what it measures, so requests are made once
 * and answers are only searched, never parsed. The same code asks every server of the comparison.
 */

const HEAD_END = Buffer.from('\r\n\r\n');

/** Runs the load to its end. Rejects at the first answer that is not the expected one. */
export async function runHttpLoad(job: HttpLoad): Promise<LoadResult> {
  const requests = job.bodies.map((body) => serialize(job.path, body));
  const recorder = new Recorder(job);
  await Promise.all(
    Array.from({ length: job.connections }, (_, at) => runConnection(job, requests, at, recorder)),
  );
  return recorder.result();
}

/** One request as bytes. */
export function serialize(path: string, body: string): Buffer {
  const length = Buffer.byteLength(body);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`,
  );
}

function runConnection(job: HttpLoad, requests: Buffer[], first: number, recorder: Recorder): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(job.socket);
    const expect = Buffer.from(job.expect);
    let next = first;
    let sentAt = 0;
    let received: Buffer = Buffer.alloc(0);
    const send = (): void => {
      sentAt = performance.now();
      socket.write(requests[next++ % requests.length] as Buffer);
    };
    const finish = (error?: Error): void => {
      closeQuietly(socket);
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.on('connect', send);
    socket.on('error', finish);
    socket.on('close', () => finish(new Error(`${job.socket} closed the connection`)));
    socket.on('data', (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const body = completeBody(received);
      if (body === null) return;
      const answer = received;
      received = Buffer.alloc(0);
      const now = performance.now();
      if (answer.toString('latin1', 9, 12) !== '200' || answer.indexOf(expect, body) === -1) {
        finish(new Error(`unexpected answer: ${answer.toString('utf8').slice(0, 600)}`));
      } else if (recorder.answer(sentAt, now, () => answer.toString('utf8', body))) {
        send();
      } else {
        finish();
      }
    });
  });
}

/** Offset of the body when the answer is complete, else null. Answers of unknown length are not understood. */
export function completeBody(answer: Buffer): number | null {
  const headEnd = answer.indexOf(HEAD_END);
  if (headEnd === -1) return null;
  const head = answer.toString('latin1', 0, headEnd);
  const length = /\r\ncontent-length: *([0-9]+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`answer without Content-Length: ${head}`);
  const body = headEnd + HEAD_END.length;
  return answer.length >= body + Number(length) ? body : null;
}

function closeQuietly(socket: Socket): void {
  socket.removeAllListeners();
  socket.on('error', () => {});
  socket.destroy();
}
