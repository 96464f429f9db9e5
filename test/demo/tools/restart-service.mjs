// restart-service.mjs DIR NAME: stops the service that DIR/NAME.pid names, starts it anew, waits until it runs.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const [dir = '', name = ''] = process.argv.slice(2);
const running = () => Number(readFileSync(join(dir, `${name}.pid`), 'utf8'));

/** A process that has ended but was not waited for yet counts as gone. */
function alive(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const before = running();
if (alive(before)) process.kill(before, 'SIGTERM');
while (alive(before)) await pause(10);
// In a session of its own, so that it outlives this program and its process group.
spawn(process.execPath, [join(import.meta.dirname, 'relay.mjs'), dir, name], {
  detached: true,
  stdio: 'ignore',
}).unref();
while (running() === before || !alive(running())) await pause(10);
console.log(`${name}: process ${before} stopped, process ${running()} started`);
