import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Metrics } from '../../daemon/api/metrics.ts';
import { startApiServer } from '../../daemon/api/server.ts';
import { spiffeIdOf } from '../../daemon/formats/spiffe.ts';
import { DEFAULT_LIMITS } from '../../daemon/host/config.ts';
import { createLogger } from '../../daemon/host/log.ts';
import { readIdentity, registerDirectory, type TlsIdentity } from '../../daemon/identity/files.ts';
import { Register } from '../../daemon/identity/register.ts';
import { renewIdentity, renewOnSchedule } from '../../daemon/identity/rotation.ts';
import { certificateIn, clientTls } from '../../daemon/identity/tls.ts';
import { renewOwn } from '../../daemon/roles/daemon-peers.ts';
import { SITE, World } from '../world.ts';

const log = createLogger('test', 'silent', {});

describe('the schedule', () => {
  afterEach(() => vi.useRealTimers());

  it('renews when it is time, goes on after a failure, and ends', async () => {
    vi.useFakeTimers({ now: Date.parse('2031-03-01T12:00:30Z') });
    let rounds = 0;
    const end = await renewOnSchedule(
      '* * * * *',
      async () => {
        rounds += 1;
        if (rounds === 1) throw new Error('the daemon is away');
      },
      log,
    );
    expect(rounds).toBe(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(rounds).toBe(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(rounds).toBe(2);
    await end();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(rounds).toBe(2);
  });

  it('is refused when it is none', async () => {
    await expect(renewOnSchedule('61 * * * *', async () => {}, log)).rejects.toMatchObject({
      at: '/peers/rotate',
    });
  });
});

describe('a renewed certificate', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
  });
  afterAll(() => world?.close());

  it("is the daemon's from the next connection on, while the open ones go on", async () => {
    const { paths } = world;
    const path = join(paths.run, 'operator.sock');
    const before = readIdentity(paths, 'daemon');
    const account = readIdentity(paths, 'account');
    const server = await startApiServer({
      socket: 'operator',
      listen: { path },
      engine: null,
      host: {},
      limits: DEFAULT_LIMITS,
      metrics: new Metrics(),
      log,
      callers: { site: SITE, credentials: { uidOf: () => null }, register: null },
      tls: before,
    });
    const first = await shaking(path, account);
    expect(shownBy(first)).toBe(certificateIn(before.certificate).fingerprint);
    await renewOwn(paths, SITE, [server]);
    const after = readIdentity(paths, 'daemon');
    expect(after.key).not.toBe(before.key);
    const second = await shaking(path, account);
    expect(shownBy(second)).toBe(certificateIn(after.certificate).fingerprint);
    expect(await answerOn(first)).toContain('HTTP/1.1 200');
    for (const socket of [first, second]) socket.destroy();
    await server.stop(1_000);
    // The account's old one counts until the new one is used.
    const register = new Register(registerDirectory(paths));
    const [old, renewed] = [account, readIdentity(paths, 'account')].map(
      ({ certificate }) => certificateIn(certificate).fingerprint,
    );
    expect(register.standing(String(old))).toBe('active');
    register.seen(String(renewed));
    expect([register.standing(String(old)), register.standing(String(renewed))]).toEqual([
      'replaced',
      'active',
    ]);
  });

  it('takes the place of the old one whole, or not at all', async () => {
    const { paths } = world;
    const before = readIdentity(paths, 'gateway');
    const away = () => Promise.reject(new Error('no daemon'));
    await expect(renewIdentity(paths, 'gateway', away)).rejects.toThrow('no daemon');
    expect(readIdentity(paths, 'gateway')).toEqual(before);
    // A daemon that certifies somebody else is not believed.
    const wrong = async () => ({ certificate: readIdentity(paths, 'sync').certificate });
    await expect(renewIdentity(paths, 'gateway', wrong)).rejects.toMatchObject({
      code: 'tls.wrong_certificate',
    });
    expect(readIdentity(paths, 'gateway')).toEqual(before);
  });
});

function shaking(path: string, identity: TlsIdentity): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ path, ...clientTls(identity, spiffeIdOf(SITE, '/daemon')) });
    socket.once('error', reject);
    socket.once('secureConnect', () => resolve(socket));
  });
}

function shownBy(socket: TLSSocket): string {
  return new X509Certificate(socket.getPeerCertificate(false).raw).fingerprint256
    .replaceAll(':', '')
    .toLowerCase();
}

function answerOn(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('data', (bytes) => resolve(String(bytes)));
    socket.write('GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n');
  });
}
