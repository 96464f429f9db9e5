import { openSync, readdirSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';

/** open(2), as /proc/PID/fdinfo prints it: octal. */
const O_CLOEXEC = 0o2000000;

let shields: [descriptor: number, devNull: number][] | null = null;

/**
 * Descriptors that this process was itself started with and that a tool would inherit (sockets of a service manager, pipes
 * of a shell): each is paired with /dev/null, to take its place in the tool. Node opens its own ones close-on-exec, so
 * the list is made once.
 */
export function inheritedDescriptors(): [descriptor: number, devNull: number][] {
  shields ??= findInheritable().map((descriptor) => [descriptor, openSync(devNull, 'r+')]);
  return shields;
}

function findInheritable(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((descriptor) => descriptor > 2 && isInheritable(descriptor));
}

function isInheritable(descriptor: number): boolean {
  let info: string;
  try {
    info = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1');
  } catch {
    // Closed meanwhile: the directory listing itself was one of them.
    return false;
  }
  const flags = /^flags:\s+([0-7]+)$/m.exec(info)?.[1];
  return flags === undefined || (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
}
