import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { BoundaryError } from '../formats/boundary-error.ts';

/** Where a server listens: a Unix socket of its own making, or one that was handed over (socket activation). */
export type ListenTarget = { path: string; mode?: number; gid?: number } | { fd: number };

const DEFAULT_MODE = 0o660;
/** Longest path that fits `sun_path` on Linux, its NUL excluded. */
const SOCKET_PATH_MAX = 107;

/**
 * Starts listening. A socket file left behind by a crash is removed, but only after a connection attempt showed that
 * nobody listens on it. Throws `BoundaryError` `socket.in_use`, `socket.not_a_socket`, `socket.path_too_long` or
 * `socket.cannot_listen`.
 */
export async function listenOn(server: Server, target: ListenTarget): Promise<void> {
  if ('fd' in target) {
    await listening(server, () => server.listen({ fd: target.fd }), `file descriptor ${target.fd}`);
    return;
  }
  const { path } = target;
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX) {
    const message = `${path} is longer than the ${SOCKET_PATH_MAX} bytes that a Unix socket's name may have; choose a shorter directory`;
    throw new BoundaryError('socket.path_too_long', message, { at: path });
  }
  await removeStale(path);
  const mode = target.mode ?? DEFAULT_MODE;
  // The file appears inside `listen`, synchronously; the umask keeps it closed from the first moment on.
  const before = process.umask(0o777 & ~mode);
  try {
    await listening(
      server,
      () => server.listen(path),
      path,
      () => process.umask(before),
    );
  } finally {
    process.umask(before);
  }
  if (target.gid !== undefined) chownSync(path, -1, target.gid);
  chmodSync(path, mode);
}

async function listening(server: Server, start: () => void, at: string, started?: () => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(
        new BoundaryError('socket.cannot_listen', `cannot listen on ${at}: ${cause.message}`, { at, cause }),
      );
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      resolve();
    });
    start();
    started?.();
  });
}

async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    const message = `${path} exists and is not a socket; it was left alone and nothing was started. Move it away, then start again.`;
    throw new BoundaryError('socket.not_a_socket', message, { at: path });
  }
  if (await answers(path)) {
    const message = `Somebody listens on ${path} already; nothing was started. Stop the running service first.`;
    throw new BoundaryError('socket.in_use', message, { at: path });
  }
  unlinkSync(path);
}

/** Whether anybody accepts connections there. In doubt (no right to connect, full backlog) the answer is yes. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
