import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Whether a path lies on an encrypted volume, as far as Linux tells without asking anybody: proc(5) mountinfo says on which
 * device, sysfs what that device is made of. dm-crypt (LUKS and plain) names itself in dm/uuid. What a file system does by
 * itself (ZFS, fscrypt, eCryptfs, a network's far end) cannot be seen from here.
 */

export type VolumeState =
  | 'encrypted'
  | 'plain'
  /** In memory: gone with the power. */
  | 'memory'
  | 'unknown';

export interface Volume {
  state: VolumeState;
  /** Mount point, and the file system's type. */
  mount: string;
  type: string;
}

interface Mount {
  /** `major:minor` of the device; major 0 where the file system has none of its own. */
  device: string;
  point: string;
  type: string;
  source: string;
}

const IN_MEMORY = ['tmpfs', 'ramfs'];
/** Deeper than any real stack of devices. */
const LAYERS_MAX = 16;

/** The volume of a path that exists. `root` is where `proc`, `sys` and `dev` are; null when they cannot be read. */
export function volumeOf(path: string, root = '/'): Volume | null {
  let mounts: Mount[];
  let real: string;
  try {
    mounts = parseMountinfo(readFileSync(join(root, 'proc/self/mountinfo'), 'utf8'));
    real = realpathSync(path);
  } catch {
    return null;
  }
  // Of several mounts on one point the last one is seen.
  const mount = mounts.filter(({ point }) => holds(point, real)).reduce(deeper, null);
  if (mount === null) return null;
  return { state: stateOf(mount, root), mount: mount.point, type: mount.type };
}

function deeper(best: Mount | null, next: Mount): Mount {
  return best === null || next.point.length >= best.point.length ? next : best;
}

function holds(point: string, path: string): boolean {
  return point === '/' || path === point || path.startsWith(`${point}/`);
}

/** Lines of proc(5): id parent major:minor root point options [optional…] - type source superoptions. */
function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , device, , point] = before.split(' ');
    const [type, source] = after.split(' ');
    if (device === undefined || point === undefined || type === undefined || source === undefined) return [];
    return [{ device, point: unescaped(point), type, source: unescaped(source) }];
  });
}

/** Blanks and the like are octal there. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function stateOf({ device, type, source }: Mount, root: string): VolumeState {
  if (IN_MEMORY.includes(type)) return 'memory';
  const own = device.startsWith('0:') ? null : join(root, 'sys/dev/block', device);
  // Btrfs and its like have no number of their own; the source names the device.
  const named = source.startsWith('/dev/') ? sysOfSource(source, root) : null;
  const found = [own, named].find((directory) => directory !== null && existsSync(directory));
  return found === undefined || found === null ? 'unknown' : layered(found, 0);
}

function sysOfSource(source: string, root: string): string | null {
  try {
    const name = realpathSync(join(root, source)).split('/').at(-1) ?? '';
    return join(root, 'sys/class/block', name);
  } catch {
    return null;
  }
}

/** Encrypted when the device is dm-crypt, or everything that it is made of lies on one. */
function layered(directory: string, depth: number): VolumeState {
  if (depth > LAYERS_MAX) return 'unknown';
  try {
    const uuid = join(directory, 'dm/uuid');
    if (existsSync(uuid) && readFileSync(uuid, 'utf8').startsWith('CRYPT-')) return 'encrypted';
    const slaves = existsSync(join(directory, 'slaves')) ? readdirSync(join(directory, 'slaves')) : [];
    if (slaves.length === 0) return 'plain';
    const below = slaves.map((name) => layered(join(directory, 'slaves', name), depth + 1));
    if (below.every((state) => state === 'encrypted')) return 'encrypted';
    return below.includes('plain') ? 'plain' : 'unknown';
  } catch {
    return 'unknown';
  }
}
