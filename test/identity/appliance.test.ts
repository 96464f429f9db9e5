import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ApiClient, ApiUnreachable, clientTlsFor } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { readIdentity } from '../../daemon/identity/files.ts';
import { ROOT } from '../structure/sources.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';
import { ask, SITE, until } from '../world.ts';
import { run } from './secure-world.ts';

/* An appliance from its first minute: nothing is answered in the clear, and nobody but the account of the site at all. */

const MAIN = join(ROOT, 'daemon/main.ts');
let base: string;
let daemon: ChildProcess;
const dir = () => join(base, 'site');
const holdfast = (...args: string[]) => run(process.execPath, [MAIN, ...args, '--dir', dir()]);
const client = () =>
  new ApiClient({
    socketPath: join(sitePaths(dir()).run, 'operator.sock'),
    tls: clientTlsFor(SITE, 'operator', readIdentity(sitePaths(dir()), 'account')),
  });

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'hf-a-'));
});
afterAll(async () => {
  const ended = new Promise((resolve) => daemon?.once('exit', resolve));
  daemon?.kill('SIGTERM');
  await ended;
  rmSync(base, { recursive: true, force: true });
});

it('knows its callers or does not answer', async () => {
  const headquarters = new CeremonyWorld(Date.now());
  writeFileSync(join(base, 'root.json'), headquarters.root);
  const made = await holdfast(
    'init',
    '--site',
    SITE,
    '--profile',
    'appliance',
    '--root',
    join(base, 'root.json'),
  );
  expect([made.code, made.stderr]).toEqual([0, '']);

  daemon = spawn(process.execPath, [MAIN, 'daemon', '--dir', dir()], { stdio: 'ignore' });
  const operator = client();
  await until('the daemon', async () => (await operator.status().catch(() => null)) !== null);
  // In the clear there is nobody to talk to.
  const plain = new ApiClient({ socketPath: join(sitePaths(dir()).run, 'operator.sock'), timeoutMs: 60_000 });
  await expect(plain.status()).rejects.toBeInstanceOf(ApiUnreachable);

  headquarters.propose(1);
  headquarters.ceremony(['alice', 'bob']);
  const imported = await holdfast('import', headquarters.repository, '--json');
  expect([imported.code, imported.stderr]).toEqual([0, '']);

  const status = await operator.status();
  expect(status).toMatchObject({ profile: 'appliance', peers: { required: true, principals: 0 } });
  expect(status.degraded).toContainEqual(expect.objectContaining({ component: 'identity' }));
  const denied = await operator.createDecision(ask('mark', 'm-1'));
  const gates = denied.policy.gates as unknown as JsonObject[];
  expect(gates).toContainEqual(expect.objectContaining({ id: 'identity.peer', result: 'fail' }));
  for (const each of [operator, plain]) each.close();
});
