// install-firmware.mjs IMAGE SHA256 DESTINATION: installs the image only if it is the one that was approved.
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const [image = '', wanted = '', destination = ''] = process.argv.slice(2);
const bytes = readFileSync(image);
const digest = createHash('sha256').update(bytes).digest('hex');
if (digest !== wanted) {
  console.error(`the image has digest ${digest}; ${wanted} was approved; nothing was installed`);
  process.exit(1);
}
writeFileSync(`${destination}.new`, bytes);
renameSync(`${destination}.new`, destination);
console.log(`installed ${bytes.length} bytes, sha256 ${digest}`);
