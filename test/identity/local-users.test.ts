import { chmodSync, existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ask, type Role, type Socket } from '../world.ts';
import { run, SecureWorld } from './secure-world.ts';

/* Callers known by their local user alone, on plain sockets. Takes another user to call as, which only root can be. */

const CURL = '/usr/bin/curl';
const SETPRIV = '/usr/bin/setpriv';
const AGENT = 65_534;
const OTHER = 65_533;

describe.runIf(process.geteuid?.() === 0 && existsSync(SETPRIV) && existsSync(CURL))('local users', () => {
  let site: SecureWorld;
  let daemon: Role;

  beforeAll(async () => {
    site = await SecureWorld.make({ require_identity: true });
    await site.update({ 'agent:ops-1': { uid: AGENT } });
    daemon = await site.world.daemon();
    for (const path of [site.world.root, site.world.dir, site.world.paths.run]) chmodSync(path, 0o755);
    for (const socket of ['request', 'redeem', 'operator'] as const)
      chmodSync(site.world.socket(socket), 0o666);
  });
  afterAll(async () => {
    await daemon?.kill('SIGTERM');
    await site?.close();
  });

  /** What a socket answers a local user. */
  async function call(uid: number, socket: Socket, path: string, body?: unknown): Promise<JsonObject> {
    const data =
      body === undefined ? [] : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)];
    const curl = [CURL, '-s', '--unix-socket', site.world.socket(socket), ...data, `http://localhost${path}`];
    const ran = await run(SETPRIV, ['--reuid', String(uid), '--clear-groups', ...curl]);
    return JSON.parse(ran.stdout) as JsonObject;
  }

  it('are who the policy says, by the kernel and not by what they say', async () => {
    expect(await call(AGENT, 'request', '/v1/decisions', ask('mark', 'm-1'))).toMatchObject({
      status: 'authorized',
      peer: { principal: 'agent:ops-1', uid: AGENT },
    });
    expect(await call(OTHER, 'request', '/v1/decisions', ask('mark', 'm-1'))).toMatchObject({
      status: 'denied',
      peer: { principal: null, uid: OTHER },
      policy: { gates: expect.arrayContaining([expect.objectContaining({ id: 'identity.peer' })]) },
    });
  });

  it('are told no where they have no business', async () => {
    expect((await call(AGENT, 'operator', '/v1/status')).code).toBe('peer.not_permitted');
    expect((await call(OTHER, 'operator', '/v1/status')).code).toBe('peer.unknown');
    expect((await call(AGENT, 'operator', '/metrics')).code).toBe('peer.not_permitted');
    expect((await call(AGENT, 'redeem', '/v1/permits?audience=gateway&state=redeemed')).code).toBe(
      'peer.not_permitted',
    );
    expect((await call(OTHER, 'request', '/v1/health')).status).toBe('ok');
  });

  it('find the account of the site able to look, and to ask for nothing', async () => {
    expect(await call(0, 'operator', '/v1/status')).toMatchObject({
      peers: { required: true },
      host: { peers: { tls: false, kernel: null } },
    });
    expect((await call(0, 'request', '/v1/decisions', ask('mark', 'm-1'))).status).toBe('denied');
  });
});
