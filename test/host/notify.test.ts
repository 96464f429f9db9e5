import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from 'vitest';
import { notifyAddress, openServiceManager } from '../../daemon/host/notify.ts';

const PYTHON = spawnSync('python3', ['--version']).status === 0;

/** Receives datagrams as a service manager does; prints each as JSON. */
const LISTENER = `
import json, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + name[1:] if name.startswith('@') else name)
print(json.dumps('listening'), flush=True)
while True: print(json.dumps(s.recv(4096).decode()), flush=True)
`;

const dir = mkdtempSync(join(tmpdir(), 'hf-notify-'));
const children = new Set<ChildProcessWithoutNullStreams>();

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

process.once('exit', () => rmSync(dir, { recursive: true, force: true }));

async function listen(name: string): Promise<() => Promise<string>> {
  const child = spawn('python3', ['-c', LISTENER, name]);
  children.add(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(String(child.stderr.read() ?? 'the listener ended'));
    return JSON.parse(line.value) as string;
  };
  expect(await next()).toBe('listening');
  return next;
}

describe.skipIf(!PYTHON)('a service manager (python3 listens)', () => {
  test.each([
    ['at a path', join(dir, 'notify')],
    ['under an abstract name', `@holdfast-notify-${process.pid}`],
  ])('%s is told of start, state, life and end', async (_where, name) => {
    const next = await listen(name);
    const environment = { NOTIFY_SOCKET: name, WATCHDOG_USEC: '30000000', PATH: '/bin' };
    const manager = await openServiceManager(environment);
    // Nothing that is started later can speak for this process.
    expect(environment).toEqual({ PATH: '/bin' });
    expect(manager.watchdogMs).toBe(30_000);
    expect(await manager.ready('deciding')).toBe(true);
    expect(await next()).toBe('READY=1\nSTATUS=deciding');
    manager.status('one\nMAINPID=1\u0000two');
    expect(await next()).toBe('STATUS=one MAINPID=1 two');
    manager.alive();
    expect(await next()).toBe('WATCHDOG=1');
    manager.stopping();
    expect(await next()).toBe('STOPPING=1\nSTATUS=stopping');
  });
});

describe('the environment', () => {
  test('without a manager means that nobody is told', async () => {
    const manager = await openServiceManager({});
    expect(manager.watchdogMs).toBeNull();
    expect(await manager.ready('deciding')).toBe(true);
  });

  test.each([
    [undefined, '30000000', 30_000],
    [String(process.pid), '500000', 500],
    [String(process.pid + 1), '30000000', null],
    [undefined, undefined, null],
    [undefined, '0', null],
    [undefined, '-5', null],
  ])('WATCHDOG_PID=%s WATCHDOG_USEC=%s', async (pid, usec, expected) => {
    const manager = await openServiceManager({
      NOTIFY_SOCKET: '@nobody-there',
      WATCHDOG_PID: pid,
      WATCHDOG_USEC: usec,
    });
    expect(manager.watchdogMs).toBe(expected);
    // Nobody receives it, and nothing fails.
    manager.alive();
  });

  test.each(['run/notify', '@', '/', 'vsock:2:1234', `/${'x'.repeat(107)}`, '/a\u0000b'])(
    'with an address that is none is refused: %j',
    async (name) => {
      await expect(openServiceManager({ NOTIFY_SOCKET: name })).rejects.toMatchObject({
        code: 'notify.malformed',
      });
    },
  );

  test('names a path with its NUL, and an abstract name without', () => {
    expect([...notifyAddress('/a')]).toEqual([1, 0, 0x2f, 0x61, 0]);
    expect([...notifyAddress('@a')]).toEqual([1, 0, 0, 0x61]);
  });
});
