import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { initializeLedger } from '../../daemon/engine/initialize.ts';
import { openInlineEngine } from '../../daemon/engine/inline.ts';
import { internal } from '../../daemon/engine/protocol.ts';
import { formatConfig } from '../../daemon/host/config.ts';
import { makeDir } from '../../daemon/host/durable-file.ts';
import { createSealingKey } from '../../daemon/host/sealer.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { temporaryDir } from '../host/temporary.ts';

const SITE = 'outpost-7.example';

function makeSite(): SitePaths {
  const paths = sitePaths(join(temporaryDir(), 'site'));
  for (const dir of [paths.root, paths.trust, paths.state, paths.keys, paths.policy]) makeDir(dir, 0o700);
  writeFileSync(paths.config, formatConfig({ site: SITE, profile: 'node', operatorActor: null }));
  const keyFile = join(paths.keys, 'ledger.key');
  createSigningKey(keyFile, `${SITE}/ledger`);
  createSealingKey(join(paths.keys, 'sealing.key'));
  const site = { site: SITE, profile: 'node', rootDigest: '0'.repeat(64) } as const;
  initializeLedger(paths, { ...site, signer: loadSigner(keyFile), now: Date.now() });
  return paths;
}

test('an engine that was stopped answers nothing and does not open the ledger again', async () => {
  const paths = makeSite();
  const engine = await openInlineEngine(paths.root);
  expect((await engine.call(internal('status.get', null))).status).toBe(200);
  await engine.stop('done');

  await expect(engine.call(internal('status.get', null))).rejects.toThrow('it was stopped');
  await expect(engine.call(internal('policy.prepare', null))).rejects.toThrow('it was stopped');
  await engine.stop('again');

  // Another one may have it now.
  expect(existsSync(`${paths.ledger}-wal`)).toBe(false);
  const next = await openInlineEngine(paths.root);
  expect((await next.call(internal('status.get', null))).status).toBe(200);
  await next.stop('done');
});
