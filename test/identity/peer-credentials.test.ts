import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPeerCredentials, type PeerCredentials } from '../../daemon/identity/peer-credentials.ts';
import { run } from './secure-world.ts';

const NOBODY = 65_534;
const SETPRIV = '/usr/bin/setpriv';
const CURL = '/usr/bin/curl';
/** Only root can be somebody else. */
const canBeNobody = process.geteuid?.() === 0 && existsSync(SETPRIV) && existsSync(CURL);

let credentials: PeerCredentials;
let dir: string;
beforeAll(async () => {
  credentials = await openPeerCredentials();
  dir = mkdtempSync(join(tmpdir(), 'holdfast-peer-'));
  chmodSync(dir, 0o755);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Whom the kernel names as the one who connects. */
async function seen(path: string, call: () => Promise<unknown>): Promise<number | null> {
  let uid: number | null = null;
  const server = createServer((socket) => {
    uid = credentials.uidOf(socket);
    socket.resume().end('HTTP/1.1 204 No Content\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  chmodSync(path, 0o666);
  await call();
  await new Promise((resolve) => server.close(resolve));
  return uid;
}

describe("the kernel's word on a caller", () => {
  it('can be had here', () => {
    expect(credentials.trouble).toBeNull();
  });

  it('is the user of the process that connected', async () => {
    const path = join(dir, 'own.sock');
    const call = () => new Promise((resolve) => connect(path).resume().once('close', resolve));
    expect(await seen(path, call)).toBe(process.geteuid?.());
  });

  it.runIf(canBeNobody)('is another user for another one', async () => {
    const path = join(dir, 'other.sock');
    const call = () =>
      run(SETPRIV, [
        '--reuid',
        String(NOBODY),
        '--clear-groups',
        CURL,
        '-s',
        '--unix-socket',
        path,
        'http://localhost/',
      ]);
    expect(await seen(path, call)).toBe(NOBODY);
  });

  it('is nothing about a socket that is not connected, or is none', () => {
    expect(credentials.uidOf(new Socket())).toBeNull();
    expect(credentials.uidOf({ _handle: { fd: -1 } } as unknown as Socket)).toBeNull();
    expect(credentials.uidOf({ _handle: { fd: 'x' } } as unknown as Socket)).toBeNull();
    expect(credentials.uidOf({} as Socket)).toBeNull();
  });
});
