import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { LoadResult, StreamLoad } from './job.ts';
import { Recorder } from './recorder.ts';

/*
 * The cheapest honest WebSocket client (RFC 6455) for one connection: frames are made once and sent as they are, all
 * answers that one read brought are followed by one write. The mask of client frames is zero, which leaves the bytes
 * as they are; the server unmasks them all the same.
 */

/** Largest frame header of a server: 2 bytes and a 64-bit length (§5.2). */
const TEXT_FIN = 0x81;
const PING_FIN = 0x89;

/** Runs the load to its end. Rejects at the first answer that is not the expected one. */
export async function runStreamLoad(job: StreamLoad): Promise<LoadResult> {
  const socket = await open(job);
  try {
    return await exchange(socket, job);
  } finally {
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.destroy();
  }
}

/** Connects and upgrades (§4.1); checks the status line only, since the server is ours. */
function open(job: StreamLoad): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(job.socket);
    let head = '';
    socket.on('error', reject);
    socket.on('data', function read(chunk: Buffer) {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.removeListener('data', read);
      if (head.startsWith('HTTP/1.1 101 ')) resolve(socket);
      else reject(new Error(`no upgrade: ${head.slice(0, 600)}`));
    });
    socket.write(
      `GET ${job.path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
  });
}

function exchange(socket: Socket, job: StreamLoad): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    // Every slot of the window has its own frame with its own id, so an answer tells which frame to send again.
    const frames = Array.from({ length: job.window }, (_, slot) => frameFor(job, slot));
    const sentAt = new Float64Array(job.window);
    const expect = Buffer.from(job.expect);
    const recorder = new Recorder(job);
    let received: Buffer = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${job.socket} closed the stream`)));
    socket.on('data', (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const now = performance.now();
      const again: Buffer[] = [];
      for (let frame = nextFrame(received); frame !== null; frame = nextFrame(received)) {
        received = received.subarray(frame.end);
        if (frame.kind !== TEXT_FIN) continue;
        const slot = slotOf(frame.payload);
        if (slot === -1 || frame.payload.indexOf(expect) === -1) {
          reject(new Error(`unexpected answer: ${frame.payload.toString('utf8').slice(0, 600)}`));
          return;
        }
        const { payload } = frame;
        if (!recorder.answer(sentAt[slot] as number, now, () => resultOf(payload))) {
          resolve(recorder.result());
          return;
        }
        sentAt[slot] = now;
        again.push(frames[slot] as Buffer);
      }
      if (again.length > 0) socket.write(Buffer.concat(again));
    });
    sentAt.fill(performance.now());
    socket.write(Buffer.concat(frames));
  });
}

function frameFor(job: StreamLoad, slot: number): Buffer {
  const params = job.bodies[slot % job.bodies.length] as string;
  const payload = Buffer.from(`{"id":${slot},"method":"${job.method}","params":${params}}`);
  const head = Buffer.alloc(8);
  head[0] = TEXT_FIN;
  head[1] = 0x80 | 126;
  head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

interface Frame {
  kind: number;
  payload: Buffer;
  /** Offset behind the frame. */
  end: number;
}

/** The first whole frame of what was received, or null. */
function nextFrame(bytes: Buffer): Frame | null {
  if (bytes.length < 2) return null;
  const kind = bytes[0] as number;
  if (kind !== TEXT_FIN && kind !== PING_FIN) throw new Error(`unexpected frame 0x${kind.toString(16)}`);
  const short = bytes[1] as number;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return null;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const end = start + length;
  return bytes.length < end ? null : { kind, payload: bytes.subarray(start, end), end };
}

/** Answers begin with their `id`, a number as it was sent; -1 when this one does not. */
function slotOf(payload: Buffer): number {
  if (payload.toString('latin1', 0, 6) !== '{"id":') return -1;
  let slot = 0;
  let at = 6;
  for (
    let digit = (payload[at] as number) - 48;
    digit >= 0 && digit <= 9;
    digit = (payload[at] as number) - 48
  ) {
    slot = slot * 10 + digit;
    at++;
  }
  return at === 6 ? -1 : slot;
}

function resultOf(payload: Buffer): string {
  return JSON.stringify((JSON.parse(payload.toString('utf8')) as { result: unknown }).result);
}
