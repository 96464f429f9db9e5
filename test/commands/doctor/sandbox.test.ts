import { describe, expect, it } from 'vitest';
import type { Patient } from '../../../daemon/commands/doctor/check.ts';
import { checkSandbox } from '../../../daemon/commands/doctor/sandbox.ts';
import { parseConfig } from '../../../daemon/host/config.ts';
import { sitePaths } from '../../../daemon/host/site.ts';

const patient = (profile: string): Patient => ({
  site: {
    paths: sitePaths('/nowhere'),
    config: parseConfig(JSON.stringify({ version: 1, site: 'outpost-7.example', profile }), 'x'),
  },
  daemon: null,
  status: { daemon: {}, gateway: null },
});
const unit = { ActiveState: 'active', MainPID: '42', User: 'holdfast-daemon' };
const processOf = (changes: Record<string, string> = {}): string => {
  const lines = {
    Uid: '990\t990\t990\t990',
    CapEff: '0000000000000000',
    NoNewPrivs: '1',
    Seccomp: '2',
    ...changes,
  };
  return Object.entries(lines)
    .map(([name, value]) => `${name}:\t${value}\n`)
    .join('');
};
const check = (profile: string, active: typeof unit | null | Record<string, string>, text: string | null) =>
  checkSandbox(
    patient(profile),
    () => active,
    () => text,
  )[0];

describe('the sandbox of a role, as it runs', () => {
  it('is good when the kernel says so of the process itself', () => {
    expect(check('appliance', unit, processOf())).toMatchObject({ id: 'sandbox.daemon', result: 'pass' });
  });

  it.each([
    [{ NoNewPrivs: '0' }, 'NoNewPrivs'],
    [{ Seccomp: '0' }, 'Seccomp'],
    [{ CapEff: '0000000000000400' }, 'CapEff'],
    [{ Uid: '0\t0\t0\t0' }, 'root'],
  ])('fails when the process has %j, whatever the unit file promises', (changes, word) => {
    const found = check('appliance', unit, processOf(changes));
    expect(found).toMatchObject({ result: 'fail' });
    expect(found?.found).toContain(word);
  });

  it('fails on an appliance whose daemon runs outside its unit, warns on a node', () => {
    const dead = { ActiveState: 'inactive', MainPID: '0' };
    expect(check('appliance', dead, null)?.result).toBe('fail');
    expect(check('node', dead, null)?.result).toBe('warn');
    expect(check('dev', dead, null)).toBeUndefined();
  });

  it('does not take what it cannot see for good', () => {
    expect(check('appliance', null, null)?.result).toBe('unknown');
    expect(check('appliance', unit, null)?.result).toBe('unknown');
  });
});
