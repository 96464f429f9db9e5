import { spawn, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, type Role, type Socket, until, World } from '../world.ts';

/* The roles as a service manager starts them: sockets that are there before they are, and a manager that listens. */

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const READY = has('systemd-socket-activate') && has('python3');

const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True: print(s.recv(4096).decode().replace('\\n', '|'), flush=True)
`;

let world: World;
const said: string[] = [];
let notify: string;

beforeAll(async () => {
  if (!READY) return;
  world = await World.make();
  notify = join(world.root, 'notify');
  // Named after the world's directory, so that its end is the listener's, too.
  const listener = spawn('python3', ['-c', LISTENER, notify]);
  createInterface({ input: listener.stdout }).on('line', (line) => said.push(line));
  await until('the listener to listen', async () => said.includes('listening'));
}, 120_000);

afterAll(async () => {
  await world?.close();
});

/** What systemd does with the socket units of a role, as far as the role can tell. */
function activated(names: readonly string[], files: readonly Socket[]): string[] {
  return [
    'systemd-socket-activate',
    ...files.flatMap((name) => ['-l', join(world.paths.run, `${name}.sock`)]),
    `--fdname=${names.join(':')}`,
    ...['NODE_OPTIONS=', `NOTIFY_SOCKET=${notify}`, 'WATCHDOG_USEC=2000000'].flatMap((one) => ['-E', one]),
  ];
}

describe.skipIf(!READY)('a role with sockets of a service manager (Debian: systemd, python3)', () => {
  test('the daemon serves them by their names, says that it is there and well, and leaves them when it ends', {
    timeout: 120_000,
  }, async () => {
    const sockets: Socket[] = ['operator', 'request', 'redeem'];
    const daemon = await world.daemon({ wrap: activated(sockets, sockets) });
    expect(daemon.log()).toContain('Execing');
    // Each name serves its own share of the table, whatever its place among the descriptors.
    expect(await world.client('request').createDecision(ask('mark', 'activation'))).toBeDefined();
    await expect(world.client('request').importPolicy('/nowhere')).rejects.toMatchObject({ status: 404 });
    await until('a sign of life', async () => said.filter((line) => line === 'WATCHDOG=1').length > 2);
    expect(said.filter((line) => line.startsWith('READY=1'))).toHaveLength(1);
    expect(said.find((line) => line.startsWith('READY=1|STATUS='))).toMatch(/deciding; \d+ entries/);
    const { code } = await daemon.kill('SIGTERM');
    expect(code).toBe(0);
    await until('its farewell', async () => said.some((line) => line.startsWith('STOPPING=1')));
    // They are the service manager's, who goes on listening.
    for (const name of sockets) expect(statSync(join(world.paths.run, `${name}.sock`)).isSocket()).toBe(true);
  });

  test('a socket under a wrong name is served as nothing', async () => {
    const wrap = activated(['gateway'], ['request']);
    const role: Role = await world.daemon({ wrap, unready: true });
    // The first to connect has it started; until then whoever connects is not heard.
    let over = false;
    void role.ended.then(() => {
      over = true;
    });
    const client = world.newClient('request', 500);
    await until('its end', async () => {
      await client.ready().catch(() => null);
      return over;
    });
    client.close();
    const { code, stderr } = await role.ended;
    expect({ code, named: stderr.includes('request, redeem, operator') }).toEqual({ code: 2, named: true });
  });
});
