#!/usr/bin/env node
/*
 * Runs a script under the Node that the lock file pins, whatever Node runs this file: `node packaging/pinned-node.mjs
 * SCRIPT [ARG…]`. The pinned Node comes as a package per processor; npm 10 sometimes takes the link to it away again
 * when it drops the other processor's package, so the link is put back here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const modules = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../node_modules');
const bin = join(modules, '.bin');
const node = join(bin, 'node');
const packaged = `node-linux-${process.arch}/bin/node`;

if (!existsSync(join(modules, packaged))) {
  console.error(
    `The pinned Node (${packaged}) is not installed; nothing was run. Run npm ci first (x64 and arm64 only).`,
  );
  process.exit(2);
}
if (!existsSync(node)) symlinkSync(join('..', packaged), node);
const { status, signal } = spawnSync(node, process.argv.slice(2), {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` },
});
if (signal !== null) process.kill(process.pid, signal);
process.exit(status ?? 1);
