'use strict';

/*
 * The first code of an executable, in its main thread and in each of its threads: puts what is embedded into reach, then
 * runs the program, which is embedded too. Nothing is ever loaded from the file system but what `daemon/host/addon.ts` checks.
 */

const { getAsset, getAssetKeys, getRawAsset } = process.getBuiltinModule('node:sea');
const vm = process.getBuiltinModule('node:vm');
const { isMainThread } = process.getBuiltinModule('node:worker_threads');

const FILES = 'file/';

globalThis[Symbol.for('holdfast.embedding')] = {
  get threadCode() {
    return getAsset('boot.cjs', 'utf8');
  },
  names: getAssetKeys()
    .filter((key) => key.startsWith(FILES))
    .map((key) => key.slice(FILES.length)),
  read: (name) => new Uint8Array(getAsset(FILES + name)),
};

const program = new vm.Script(getAsset('holdfast.cjs', 'utf8'), {
  filename: 'holdfast.cjs',
  cachedData: Buffer.from(getRawAsset('holdfast.cache')),
});
const { run, thread } = program.runInThisContext()((name) => {
  const found = process.getBuiltinModule(name);
  if (found === undefined) throw new Error(`${name} is not part of the program`);
  return found;
});

if (isMainThread) run();
else thread(process.argv.at(-1));
