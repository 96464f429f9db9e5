/*
 * Preloaded into the processes of a transcript: the machine was off for `TRANSCRIPT_DAYS`, and has been started again.
 * The wall clock is that much later, and the boot is another one.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const days = Number(process.env.TRANSCRIPT_DAYS ?? '0');
const shift = days * 86_400_000;

if (shift > 0) {
  const Now = Date;
  globalThis.Date = class extends Now {
    constructor(...args) {
      super(...(args.length === 0 ? [Now.now() + shift] : args));
    }

    static now() {
      return Now.now() + shift;
    }
  };
  const { readFileSync } = fs;
  fs.readFileSync = (path, ...rest) =>
    path === '/proc/sys/kernel/random/boot_id'
      ? `00000000-0000-4000-8000-${String(days).padStart(12, '0')}\n`
      : readFileSync(path, ...rest);
  syncBuiltinESMExports();
}
