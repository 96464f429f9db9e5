import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CATALOGUE } from '../../daemon/commands/catalogue.ts';
import { ROOT } from '../structure/sources.ts';

/* The units as systemd's own tools see them. */

const UNITS = join(ROOT, 'systemd');
const SYSTEM = '/lib/systemd/system';
const run = (program: string, args: readonly string[]) =>
  spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C', SYSTEMD_COLORS: '0' } });
const ANALYZE = run('systemd-analyze', ['--version']).status === 0 && existsSync(SYSTEM);
const SYSUSERS = run('systemd-sysusers', ['--version']).status === 0;
const isRoot = process.geteuid?.() === 0;

const units = readdirSync(UNITS).filter((name) => /\.(service|socket|target)$/.test(name));
const services = units.filter((name) => name.endsWith('.service'));
const text = (name: string): string => readFileSync(join(UNITS, name), 'utf8');
/** All values of a setting, in order. */
const values = (name: string, setting: string): string[] =>
  [...text(name).matchAll(new RegExp(`^${setting}=(.*)$`, 'gm'))].map((match) => match[1] ?? '');

const root = mkdtempSync(join(tmpdir(), 'hf-units-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A root with our units, the targets that they are ordered by, and programs where they say that there are some. */
function makeRoot(into: string, dropIn?: { unit: string; file: string }): void {
  const folder = join(into, 'usr/lib/systemd/system');
  mkdirSync(folder, { recursive: true });
  symlinkSync('usr/lib', join(into, 'lib'));
  for (const name of readdirSync(SYSTEM).filter((one) => one.endsWith('.target')))
    writeFileSync(join(folder, name), readFileSync(join(SYSTEM, name)));
  for (const name of units) cpSync(join(UNITS, name), join(folder, name));
  if (dropIn !== undefined) {
    mkdirSync(join(folder, `${dropIn.unit}.d`));
    cpSync(join(UNITS, 'drop-ins', dropIn.file), join(folder, `${dropIn.unit}.d`, dropIn.file));
  }
  const programs = services.flatMap((name) =>
    ['ExecStart', 'ExecStartPre', 'ExecStopPost'].flatMap((setting) => values(name, setting)),
  );
  for (const line of programs) {
    const path = join(into, (/^[+!:@-]*(\S+)/.exec(line)?.[1] ?? '').replaceAll('%i', 'probe'));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
    chmodSync(path, 0o755);
  }
}

const instance = (name: string): string =>
  name.replace('@.', name.startsWith('holdfast-tool') ? '@probe.' : '@sdb1.');

function verify(into: string, names: readonly string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = run('systemd-analyze', [
    'verify',
    '--man=no',
    '--recursive-errors=yes',
    `--root=${into}`,
    ...names,
  ]);
  return { status, said: `${stdout}${stderr}` };
}

describe.skipIf(!ANALYZE)('systemd-analyze (Debian package systemd)', () => {
  beforeAll(() => makeRoot(root));

  test('finds nothing wrong with any unit', () => {
    expect(verify(root, units.map(instance))).toEqual({ status: 0, said: '' });
  });

  test('would find a setting that does not exist', () => {
    const broken = join(root, 'broken');
    makeRoot(broken);
    const path = join(broken, 'usr/lib/systemd/system/holdfast-daemon.service');
    writeFileSync(path, readFileSync(path, 'utf8').replace('PrivateNetwork=', 'PrivateNetworks='));
    expect(verify(broken, ['holdfast-daemon.service']).said).toContain('PrivateNetworks');
  });

  test.each([
    ['holdfast-daemon.service', 'strict.conf'],
    ['holdfast-gateway.service', 'strict.conf'],
    ['holdfast-sync.service', 'strict.conf'],
    ['holdfast-daemon.service', 'kernel-clock.conf'],
    ['holdfast-gateway.service', 'gateway-network.conf'],
    ['holdfast-sync.service', 'sync-addresses.conf'],
  ])('finds nothing wrong with %s and %s', (unit, file) => {
    const into = join(root, `${unit}-${file}`);
    makeRoot(into, { unit, file });
    expect(verify(into, [unit])).toEqual({ status: 0, said: '' });
  });

  // In tenths, as --threshold counts.
  test.each([
    ['holdfast-daemon.service', 4],
    ['holdfast-gateway.service', 12],
    ['holdfast-sync.service', 12],
    ['holdfast-import@.service', 4],
    ['holdfast-export@.service', 4],
    ['holdfast-media-result@.service', 12],
    ['holdfast-site.service', 12],
    ['holdfast-tool@.service', 4],
  ])('gives %s an exposure of at most %i tenths', (unit, tenths) => {
    const args = ['security', '--offline=yes', '--no-pager', join(UNITS, unit)];
    const { status, stdout } = run('systemd-analyze', [...args, `--threshold=${tenths}`]);
    expect(stdout).toContain('Overall exposure level');
    expect({ unit, status }).toEqual({ unit, status: 0 });
    // The threshold is looked at, whatever a version of the tool counts it in.
    expect(run('systemd-analyze', [...args, '--threshold=0']).status).not.toBe(0);
  });

  test('sees that a strict daemon has no memory that is both written and run', () => {
    const strict = join(root, 'holdfast-strict.service');
    const lines = readFileSync(join(UNITS, 'drop-ins/strict.conf'), 'utf8').replace('[Service]', '');
    writeFileSync(strict, `${text('holdfast-daemon.service')}\n${lines}`);
    const seen = (path: string): unknown =>
      (
        JSON.parse(
          run('systemd-analyze', ['security', '--offline=yes', '--json=short', '--no-pager', path]).stdout,
        ) as { name: string; set: boolean | null }[]
      ).find(({ name }) => name === 'MemoryDenyWriteExecute=')?.set;
    expect(seen(strict)).toBe(true);
    expect(seen(join(UNITS, 'holdfast-daemon.service'))).toBe(false);
  });
});

describe('the units', () => {
  test('start no shell, and only commands that there are', () => {
    const lines = services.flatMap((name) =>
      ['ExecStart', 'ExecStartPre', 'ExecStartPost', 'ExecStop', 'ExecStopPost', 'ExecCondition'].flatMap(
        (setting) => values(name, setting),
      ),
    );
    expect(lines.filter((line) => /\bsh\b|[;&|`$<>]/.test(line))).toEqual([]);
    const ours = lines.filter((line) => line.startsWith('/usr/bin/holdfast '));
    expect(ours.length).toBeGreaterThan(5);
    for (const line of ours) expect(CATALOGUE).toHaveProperty([line.split(' ')[1] ?? '']);
  });

  test('are asked for by udev once it knows what is on a device, and never for a disk of the host', () => {
    const [name = '', ...others] = readdirSync(join(UNITS, 'udev'));
    expect(others).toEqual([]);
    expect(name > '60-persistent-storage.rules').toBe(true);
    const rules = readFileSync(join(UNITS, 'udev', name), 'utf8').split('\n');
    const at = (text: string): number => rules.findIndex((line) => line.includes(text));
    expect(at('findmnt --noheadings')).toBeGreaterThan(0);
    expect(at('SYSTEMD_WANTS')).toBeGreaterThan(at('findmnt --fstab'));
  });

  test('give each role a user of its own, and each socket a group of its own', () => {
    const roles = ['daemon', 'gateway', 'sync', 'import@'].map((role) =>
      values(`holdfast-${role}.service`, 'User').join(),
    );
    expect(new Set(roles).size).toBe(4);
    const groups = ['request', 'redeem', 'operator', 'gateway'].map((socket) =>
      values(`holdfast-${socket}.socket`, 'SocketGroup').join(),
    );
    expect(new Set(groups).size).toBe(4);
  });

  test.each(['request', 'redeem', 'operator', 'gateway'])(
    'name the socket %s as the program does',
    (name) => {
      const unit = `holdfast-${name}.socket`;
      expect(values(unit, 'FileDescriptorName')).toEqual([name]);
      expect(values(unit, 'ListenStream')).toEqual([`/run/holdfast/${name}.sock`]);
      const service = values(unit, 'Service').join();
      expect(values(service, 'Sockets').join(' ')).toContain(unit);
      expect(text(service)).toContain(`Requires=`);
    },
  );

  test('leave the kernel its word on callers', () => {
    for (const role of ['daemon', 'gateway'])
      expect(values(`holdfast-${role}.service`, 'PrivateUsers')).toEqual(['no']);
  });

  test('mount a stick without anything that could act from it, and write to it only where it asks for it', () => {
    for (const name of ['holdfast-mount@.service', 'holdfast-mount-writable@.service'])
      for (const line of values(name, 'ExecStart').filter((one) => one.includes('/mount ')))
        for (const option of ['nosuid', 'nodev', 'noexec', 'nosymfollow']) expect(line).toContain(option);
    const [block, mount] = values('holdfast-mount@.service', 'ExecStart');
    expect(block).toBe('/usr/sbin/blockdev --setro /dev/%i');
    expect(mount).toMatch(/-o ro,/);
    // A mount namespace of their own would hide the mount from the unit that reads it.
    for (const name of ['holdfast-mount@.service', 'holdfast-mount-writable@.service'])
      expect(text(name)).not.toMatch(
        /^(ProtectSystem|ProtectHome|PrivateTmp|PrivateDevices|PrivateMounts|ProtectProc)=/m,
      );
    expect(values('holdfast-export@.service', 'ConditionPathExists')).toEqual([
      '/run/holdfast-import/%i/export-wanted',
    ]);
  });

  test('put no mount point where a role could put a link in its place', () => {
    const owned = services.flatMap((name) => values(name, 'RuntimeDirectory'));
    expect(owned.filter((name) => name.startsWith('holdfast-media'))).toEqual([]);
    expect(readFileSync(join(UNITS, 'tmpfiles.d/holdfast.conf'), 'utf8')).toContain(
      'd /run/holdfast-media 0755 root root -',
    );
  });

  test('keep a tool away from all that could be asked or redeemed', () => {
    const hidden = values('holdfast-tool@.service', 'InaccessiblePaths').join(' ');
    for (const path of ['/run/holdfast', '/var/lib/holdfast'])
      expect(hidden.split(' ')).toContain(`-${path}`);
    expect(values('holdfast-tool@.socket', 'SocketGroup')).toEqual(['holdfast-gateway']);
    expect(readFileSync(join(UNITS, 'sysusers.d/holdfast.conf'), 'utf8')).not.toMatch(/holdfast-tool/);
  });
});

describe.skipIf(!(SYSUSERS && isRoot))('users, groups, owners (root and systemd-sysusers)', () => {
  const site = join(root, 'site-root');

  beforeAll(() => {
    mkdirSync(join(site, 'usr/lib/sysusers.d'), { recursive: true });
    cpSync(join(UNITS, 'sysusers.d/holdfast.conf'), join(site, 'usr/lib/sysusers.d/holdfast.conf'));
    mkdirSync(join(site, 'etc'), { recursive: true });
    for (const file of ['passwd', 'group']) writeFileSync(join(site, 'etc', file), 'root:x:0:\n');
    writeFileSync(join(site, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
    const made = run('systemd-sysusers', [`--root=${site}`]);
    expect({ status: made.status, said: made.stderr }).toMatchObject({ status: 0 });
  });

  const members = (group: string): string[] =>
    (
      new RegExp(`^${group}:[^:]*:\\d+:(.*)$`, 'm').exec(
        readFileSync(join(site, 'etc/group'), 'utf8'),
      )?.[1] ?? ''
    )
      .split(',')
      .filter((name) => name !== '')
      .sort();

  test('let each role into no more than it needs', () => {
    expect(members('holdfast-request')).toEqual(['holdfast-gateway']);
    expect(members('holdfast-redeem')).toEqual(['holdfast-gateway']);
    expect(members('holdfast-operator')).toEqual(['holdfast-import', 'holdfast-sync']);
    expect(members('holdfast-action')).toEqual(['holdfast-daemon']);
    expect(members('holdfast')).toEqual(['holdfast-daemon', 'holdfast-import', 'holdfast-sync']);
  });

  test('hand what root made to the roles, and nothing outside the site', () => {
    const home = join(site, 'var/lib/holdfast');
    for (const part of ['state/keys', 'trust', 'gateway', 'sync', 'inbox', 'outbox', 'run'])
      mkdirSync(join(home, part), { recursive: true });
    mkdirSync(join(site, 'var/spool/holdfast'), { recursive: true });
    writeFileSync(join(home, 'state/keys/ledger'), 'x', { mode: 0o600 });
    writeFileSync(join(home, 'outbox/receipt.json'), 'x', { mode: 0o640 });
    writeFileSync(join(home, 'holdfast.json'), '{}');
    writeFileSync(join(site, 'etc/shadowed'), 'x', { mode: 0o600 });
    symlinkSync('/etc/shadowed', join(home, 'state/link'));
    cpSync(join(UNITS, 'holdfast-site.tmpfiles'), join(site, 'holdfast-site.tmpfiles'));
    const made = run('systemd-tmpfiles', [
      '--create',
      `--root=${site}`,
      join(site, 'holdfast-site.tmpfiles'),
    ]);
    expect({ status: made.status, said: made.stderr }).toMatchObject({ status: 0 });
    const uid = (name: string): number =>
      Number(
        new RegExp(`^${name}:[^:]*:(\\d+):`, 'm').exec(readFileSync(join(site, 'etc/passwd'), 'utf8'))?.[1],
      );
    const seen = (part: string): [string, number] => {
      const stat = statSync(join(home, part));
      return [(stat.mode & 0o7777).toString(8), stat.uid];
    };
    expect(seen('state')).toEqual(['700', uid('holdfast-daemon')]);
    expect(seen('state/keys/ledger')).toEqual(['600', uid('holdfast-daemon')]);
    expect(seen('gateway')).toEqual(['700', uid('holdfast-gateway')]);
    expect(seen('sync')).toEqual(['700', uid('holdfast-sync')]);
    expect(seen('inbox')).toEqual(['1770', uid('holdfast-daemon')]);
    expect(seen('outbox/receipt.json')).toEqual(['640', uid('holdfast-daemon')]);
    expect(seen('holdfast.json')).toEqual(['644', 0]);
    expect(statSync(join(site, 'etc/shadowed')).uid).toBe(0);
  });
});
