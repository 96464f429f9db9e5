import { join } from 'node:path';
import { RUNTIME_OPTIONS } from '../packaging/runtime-options.ts';

/*
 * The program that is tested: the sources of this checkout, or an executable (and what runs it) named by the environment:
 * HOLDFAST_PROGRAM="qemu-aarch64-static -L /usr/aarch64-linux-gnu dist/holdfast-linux-arm64".
 */

const named = process.env.HOLDFAST_PROGRAM?.split(' ').filter((word) => word !== '') ?? [];

/** Words before the command's own arguments. */
export const PROGRAM: readonly [string, ...string[]] =
  named[0] === undefined
    ? [process.execPath, ...RUNTIME_OPTIONS, join(import.meta.dirname, '../daemon/main.ts')]
    : [named[0], ...named.slice(1)];

/** How many times longer everything may take: an emulated processor is slow. */
export const PATIENCE = Number(process.env.HOLDFAST_PATIENCE ?? 1);
