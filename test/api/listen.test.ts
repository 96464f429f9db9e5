import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listenOn } from '../../daemon/api/listen.ts';
import { exchange } from './exchange.ts';

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-listen-'));
  path = join(dir, 'x.sock');
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Leaves a socket file behind, as a crash does. */
function leaveStale(): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })).toThrow();
}

async function listens(mode?: number): Promise<{ mode: number; close: () => void }> {
  const server = createHttpServer((_request, response) => response.end('{}'));
  await listenOn(server, mode === undefined ? { path } : { path, mode });
  expect((await exchange(path, '/')).status).toBe(200);
  const { mode: found } = statSync(path);
  return { mode: found & 0o777, close: () => server.close() };
}

describe('listenOn', () => {
  test.each([0o600, 0o660, 0o666])('makes the socket with mode %o, whatever the umask', async (mode) => {
    const before = process.umask(0o077);
    const { mode: found, close } = await listens(mode);
    expect(process.umask(before)).toBe(0o077);
    expect(found).toBe(mode);
    close();
  });

  test('gives owner and group access by default, nobody else', async () => {
    const { mode, close } = await listens();
    expect(mode).toBe(0o660);
    close();
  });

  test('takes over what a crash left behind', async () => {
    leaveStale();
    const { close } = await listens();
    close();
  });

  test('leaves a socket alone on which somebody listens', async () => {
    const other = createServer().listen(path);
    await expect(listenOn(createHttpServer(), { path })).rejects.toMatchObject({ code: 'socket.in_use' });
    expect(statSync(path).isSocket()).toBe(true);
    await new Promise((resolve) => other.close(resolve));
  });

  test('leaves anything alone that is no socket, links included', async () => {
    writeFileSync(path, 'precious');
    await expect(listenOn(createHttpServer(), { path })).rejects.toMatchObject({
      code: 'socket.not_a_socket',
    });
    rmSync(path);
    symlinkSync(join(dir, 'elsewhere'), path);
    await expect(listenOn(createHttpServer(), { path })).rejects.toMatchObject({
      code: 'socket.not_a_socket',
    });
  });

  test('says so when the path is too long or the directory is missing', async () => {
    const long = join(dir, 'x'.repeat(120));
    await expect(listenOn(createHttpServer(), { path: long })).rejects.toMatchObject({
      code: 'socket.path_too_long',
    });
    const missing = join(dir, 'none', 'x.sock');
    await expect(listenOn(createHttpServer(), { path: missing })).rejects.toMatchObject({
      code: 'socket.cannot_listen',
    });
  });

  test('uses a socket that it inherits (socket activation)', async () => {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(path, resolve));
    const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
    const script = `
      import { createServer } from 'node:http';
      import { listenOn } from ${JSON.stringify(new URL('../../daemon/api/listen.ts', import.meta.url).href)};
      await listenOn(createServer((_q, r) => r.end('{"pid":' + process.pid + '}')), { fd: 3 });
      process.stdout.write('up');
    `;
    const file = join(dir, 'child.mts');
    writeFileSync(file, script);
    chmodSync(file, 0o600);
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit', fd] });
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    // Closing ours removes the file by its old name; from then on only the child accepts.
    const moved = join(dir, 'moved.sock');
    renameSync(path, moved);
    await new Promise((resolve) => listener.close(resolve));
    expect((await exchange(moved, '/')).json).toEqual({ pid: child.pid });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
  });
});
