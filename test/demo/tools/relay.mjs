// A service to be restarted: says who it is in DIR/NAME.pid and runs until it is told to stop.
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [dir = '', name = ''] = process.argv.slice(2);
const path = join(dir, `${name}.pid`);
writeFileSync(`${path}.new`, `${process.pid}\n`);
renameSync(`${path}.new`, path);
process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 60_000);
