import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import { errorCode, writeDurable } from './durable-file.ts';
import { embedding } from './embedded.ts';

/*
 * Native addons of an executable. The system's loader wants a file: it is unpacked once, into a directory of the process's own
 * user, and used only as long as its digest is that of what the executable carries. Never into anybody's home.
 */

/** Where addons may be unpacked, best first: what a unit was given for it, then what it keeps its state in. */
const PLACES = ['HOLDFAST_NATIVE_DIR', 'RUNTIME_DIRECTORY', 'STATE_DIRECTORY'] as const;
const FILE_MODE = 0o500;
const DIR_MODE = 0o700;
/** dlopen(3): all symbols at once; a library that lacks one is found here and not in the middle of something. */
const RTLD_NOW = 2;

const loaded = new Map<string, unknown>();

/** What is to be loaded; `number` tells it from every other addon inside. */
interface Part {
  name: string;
  bytes: Uint8Array;
  number: number;
}

/** The exports of an embedded addon. Throws BoundaryError `addon.changed` when its file was tampered with, `addon.unusable`. */
export function loadAddon(name: string): unknown {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const inside = embedding();
  if (inside === null) throw new Error(`there is no embedded addon ${name} outside an executable`);
  const bytes = inside.read(`native/${name}.node`);
  const part: Part = { name, bytes, number: inside.names.indexOf(`native/${name}.node`) };
  const exports = fromPlaces(part) ?? fromTemporary(part);
  loaded.set(name, exports);
  return exports;
}

/** From the first place that takes it; null where the process was given none that does. */
function fromPlaces(part: Part): unknown | null {
  for (const variable of PLACES) {
    // systemd separates several by colons.
    const place = process.env[variable]?.split(':')[0];
    if (place === undefined || !place.startsWith('/')) continue;
    try {
      return open(unpacked(join(place, 'native'), part), part);
    } catch (error) {
      if (error instanceof BoundaryError && error.code === 'addon.changed') throw error;
      // No right to write there, or mounted so that nothing in it may be run: the next one may do.
      if (errorCode(error) === null) throw error;
    }
  }
  return null;
}

/** For a command of somebody who has no such place: a directory that only this process knows, gone once it is loaded. */
function fromTemporary(part: Part): unknown {
  const { name, bytes } = part;
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-'));
  try {
    const path = join(dir, `${name}.node`);
    writeFileSync(path, bytes, { mode: FILE_MODE, flag: 'wx' });
    return open(path, part);
  } catch (cause) {
    if (cause instanceof BoundaryError) throw cause;
    throw new BoundaryError(
      'addon.unusable',
      `The part of holdfast that speaks to ${name} cannot be loaded from ${tmpdir()} (${(cause as Error).message}); nothing was done. Name a directory that is yours and not mounted noexec: HOLDFAST_NATIVE_DIR=/run/holdfast.`,
      { at: tmpdir(), cause },
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Path of the addon's file, named after its digest; written whole or not at all when it is missing. */
function unpacked(dir: string, { name, bytes }: Part): string {
  mkdirSync(dir, { recursive: true, mode: DIR_MODE });
  const path = join(dir, `${name}-${sha256Hex(bytes).slice(0, 16)}.node`);
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw changed(path, 'it is not a plain file');
    writeDurable(path, bytes, FILE_MODE);
  }
  return path;
}

/**
 * Loads through the very descriptor that was checked, so that nobody can put another file in its place meanwhile. dlopen(3)
 * opens no file whose path it has loaded before, and descriptors are numbered anew once they are closed: so each addon has
 * spellings of that path to itself, or it would get whatever another was loaded through the same number.
 */
function open(path: string, { bytes, number }: Part): unknown {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0)
      throw changed(path, 'it belongs to somebody else, or others may write it');
    if (sha256Hex(readFileSync(fd)) !== sha256Hex(bytes))
      throw changed(path, 'its content is not what this program carries');
    const module = { exports: {} };
    process.dlopen(module, `/proc/self/fd/${'./'.repeat(number)}${fd}`, RTLD_NOW);
    return module.exports;
  } finally {
    closeSync(fd);
  }
}

function changed(path: string, words: string): BoundaryError {
  return new BoundaryError(
    'addon.changed',
    `${path} was not loaded: ${words}. Nothing was done. Somebody may have been at it: look into that, then remove the file; it is unpacked again.`,
    { at: path },
  );
}
