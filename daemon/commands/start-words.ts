import { existsSync } from 'node:fs';

type Role = 'daemon' | 'gateway';

const INSTALLED_SITE = '/var/lib/holdfast';
const UNIT = '/usr/lib/systemd/system/holdfast-daemon.service';

/**
 * Whether systemd runs the roles of the site in `dir`. Typed by root on such a host, "holdfast daemon" would run without its
 * sandbox and its key-encryption key, and leave files that the unit may not open.
 */
export function runsInUnits(dir: string, unit = UNIT): boolean {
  return dir === INSTALLED_SITE && existsSync(unit);
}

/** What starts these roles of the site in `dir`, to be typed. */
export function startWords(roles: readonly Role[], dir: string, unit?: string): string {
  if (!runsInUnits(dir, unit)) return roles.map((role) => `holdfast ${role}`).join(' and ');
  return `systemctl start ${roles.length > 1 ? 'holdfast.target' : `holdfast-${roles.join('')}`}`;
}

/** What comes after a site was made or restored in `dir`, one command a line. */
export function firstStart(roles: readonly Role[], dir: string, unit?: string): string[] {
  if (runsInUnits(dir, unit)) return ['systemctl enable --now holdfast.target'];
  return roles.map((role) => `holdfast ${role} --dir ${dir}`);
}
