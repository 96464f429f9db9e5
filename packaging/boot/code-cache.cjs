'use strict';

/*
 * `node code-cache.cjs PROGRAM CACHE`: compiles the program and writes what V8 made of it, so that an executable need not
 * compile it at every start. The same input gives the same bytes: nothing of the program is run.
 */

const { readFileSync, writeFileSync } = require('node:fs');
const vm = require('node:vm');

const [program, cache] = process.argv.slice(2);
const script = new vm.Script(readFileSync(program, 'utf8'), { filename: 'holdfast.cjs' });
writeFileSync(cache, script.createCachedData());
