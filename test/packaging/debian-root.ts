import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/*
 * A bare Debian of its own, to install things into. It is made once by debootstrap and kept in the temporary directory;
 * each test gets a copy. Commands run in it with mounts and processes of their own, which are gone when they end.
 */

const SUITE = 'bookworm';
const KEPT = join(tmpdir(), `holdfast-debian-${SUITE}`);

/** Why there can be no such root here; null when there can be one. */
export function noDebian(): string | null {
  if (process.getuid?.() !== 0) return 'only root can install packages';
  for (const tool of ['debootstrap', 'unshare', 'chroot'])
    if (spawnSync(tool, ['--version']).error !== undefined) return `${tool} is not installed`;
  if (spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status !== 0)
    return 'this machine gives us no mounts of our own';
  return null;
}

export class DebianRoot {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Null when Debian's packages cannot be had from here. */
  static make(): DebianRoot | null {
    if (!existsSync(KEPT) && !bootstrap()) return null;
    const dir = mkdtempSync(join(tmpdir(), 'holdfast-root-'));
    execFileSync('cp', ['-a', '--reflink=auto', `${KEPT}/.`, dir]);
    // Everybody in there must get past its top.
    chmodSync(dir, 0o755);
    return new DebianRoot(dir);
  }

  put(path: string, content: Uint8Array | string): void {
    mkdirSync(join(this.dir, path, '..'), { recursive: true });
    writeFileSync(join(this.dir, path), content);
  }

  /** Runs a shell command in there as root, `environment` added; `input` is what is typed. */
  run(command: string, environment: Record<string, string> = {}, input = ''): Ended {
    const mounts = [
      'mount --make-rprivate / && mount --bind "$0" "$0"',
      'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm"',
      'mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts" && mount --bind "$0/dev/pts/ptmx" "$0/dev/ptmx"',
      'exec chroot "$0" /usr/bin/env -i "$@"',
    ].join(' && ');
    const base = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', TERM: 'dumb', LC_ALL: 'C.UTF-8' };
    const words = Object.entries({ ...base, ...environment }).map(([name, value]) => `${name}=${value}`);
    const own = ['--mount', '--pid', '--fork', '--kill-child'];
    const args = [...own, 'sh', '-c', mounts, this.dir, ...words, 'sh', '-c', command];
    const { status, stdout, stderr } = spawnSync('unshare', args, {
      encoding: 'utf8',
      input,
      maxBuffer: 1e8,
      timeout: 240_000,
    });
    return { code: status, text: `${stdout}${stderr}` };
  }

  /** The same, where nothing but success will do; returns what was said. */
  do(command: string, environment: Record<string, string> = {}): string {
    const { code, text } = this.run(command, environment);
    if (code !== 0) throw new Error(`${command} ended with ${code}:\n${text}`);
    return text;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** How a command ended, and all that it said. */
export interface Ended {
  code: number | null;
  text: string;
}

function bootstrap(): boolean {
  const made = mkdtempSync(join(tmpdir(), 'holdfast-debootstrap-'));
  const options = ['--variant=minbase', '--include=systemd'];
  const { status } = spawnSync('debootstrap', [...options, SUITE, made], {
    stdio: 'ignore',
    timeout: 540_000,
  });
  if (status !== 0) {
    rmSync(made, { recursive: true, force: true });
    return false;
  }
  for (const path of ['var/cache/apt/archives', 'var/lib/apt/lists'])
    rmSync(join(made, path), { recursive: true, force: true });
  try {
    renameSync(made, KEPT);
  } catch {
    // Somebody else was faster.
    rmSync(made, { recursive: true, force: true });
  }
  return true;
}
