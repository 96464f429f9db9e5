import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { ApiClient } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, type Ran, type Socket, until, World } from '../world.ts';

/* A site with its backups: identities that open them, and the commands that make and restore them. */

/** Slow machines run other tests beside these. */
export const PATIENCE_MS = 180_000;

export interface BackupWorld {
  world: World;
  /** File with the age identity that opens backups. */
  identity: string;
  recipient: string;
  /** Makes decisions on a running site; returns their ids. */
  decide(marks: number): Promise<string[]>;
  backup(file: string, ...options: string[]): Promise<Ran>;
  /** Restores into a directory of that name under the world's root. */
  restore(file: string, name: string, ...options: string[]): Promise<Ran & { dir: string; json: JsonObject }>;
}

export async function backupWorld(policy?: string): Promise<BackupWorld> {
  const world = await World.make(policy);
  const secret = await generateX25519Identity();
  const recipient = await identityToRecipient(secret);
  const identity = join(world.root, 'identity.txt');
  writeFileSync(identity, `${secret}\n`);
  let marked = 0;
  return {
    world,
    identity,
    recipient,
    async decide(marks) {
      const ids: string[] = [];
      for (let n = 0; n < marks; n++) {
        const made = await world.client('request').createDecision(ask('mark', `m-${marked++}`));
        ids.push(made.decision_id);
      }
      return ids;
    },
    backup: (file, ...options) => world.holdfast('backup', file, '--to', recipient, ...options),
    async restore(file, name, ...options) {
      const dir = join(world.root, name);
      const ran = await world.holdfast(
        'restore',
        file,
        '--identity',
        identity,
        '--dir',
        dir,
        '--json',
        ...options,
      );
      return { ...ran, dir, json: JSON.parse(ran.stdout === '' ? '{}' : ran.stdout) as JsonObject };
    },
  };
}

/** Adds sections to the configuration of a site. */
export function configure(world: World, sections: JsonObject): void {
  const config = JSON.parse(readFileSync(world.paths.config, 'utf8')) as JsonObject;
  writeFileSync(world.paths.config, JSON.stringify({ ...config, ...sections }));
}

/** A daemon on a restored site; its world ends it if nobody else does. */
export async function startDaemon(
  dir: string,
): Promise<{ client(socket: Socket): ApiClient; stop(): Promise<void> }> {
  const child = spawn(process.execPath, [join(ROOT, 'daemon/main.ts'), 'daemon', '--dir', dir], {
    stdio: 'ignore',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const clients: ApiClient[] = [];
  const client = (socket: Socket): ApiClient => {
    const made = new ApiClient({ socketPath: join(sitePaths(dir).run, `${socket}.sock`), timeoutMs: 60_000 });
    clients.push(made);
    return made;
  };
  const probe = client('operator');
  await until('the daemon to answer', async () => (await probe.status().catch(() => null)) !== null);
  return {
    client,
    async stop() {
      for (const one of clients) one.close();
      child.kill('SIGTERM');
      await ended;
    },
  };
}
