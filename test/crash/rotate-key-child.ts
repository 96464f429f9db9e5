import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';

/*
 * Rotates the ledger key of a site and dies, by the signal that nobody can catch, just before its nth change to a file.
 * Without dying it ends with code 0. Usage: rotate-key-child.ts DIR NTH
 */

const [dir = '', nth = '0'] = process.argv.slice(2);
const CHANGES = [
  'openSync',
  'writeSync',
  'fsyncSync',
  'fchmodSync',
  'renameSync',
  'linkSync',
  'unlinkSync',
] as const;
let armed = false;
let left = Number(nth);

for (const name of CHANGES) {
  const real = fs[name] as (...args: unknown[]) => unknown;
  const doomed = (...args: unknown[]): unknown => {
    if (armed && --left === 0) process.kill(process.pid, 'SIGKILL');
    return real(...args);
  };
  Object.assign(fs, { [name]: doomed });
}
syncBuiltinESMExports();

const { composeEngine } = await import('../../daemon/engine/compose.ts');
const { Engine } = await import('../../daemon/engine/engine.ts');
const { internal } = await import('../../daemon/engine/protocol.ts');

const engine = new Engine(composeEngine({ dir }));
armed = true;
const { replies } = engine.process([internal('ledger.rotate_key', JSON.stringify({ reason: 'a test' }))]);
armed = false;
if (replies[0]?.status !== 200) throw new Error(`refused: ${String(replies[0]?.body)}`);
process.kill(process.pid, left > 0 ? 'SIGTERM' : 'SIGKILL');
