import { describe, expect, it } from 'vitest';
import { type Check, fail, pass, unknown, warn } from '../../../daemon/commands/doctor/check.ts';
import { MAPPING } from '../../../daemon/commands/doctor/mapping.ts';
import { htmlReport, reportRows, textReport } from '../../../daemon/commands/doctor/report.ts';
import { readSources } from '../../structure/sources.ts';

const head = {
  site: 'outpost-7.example',
  profile: 'appliance',
  host: 'box',
  version: '1.2.3',
  at: '2026-01-02T03:04:05Z',
};
const rowOf = (checks: Check[], name: string) =>
  reportRows(checks).find(({ nist }) => nist.some((one) => one.startsWith(name)));

describe('the page of controls', () => {
  it('gives each group the worst result of what speaks about it', () => {
    const good = pass('disk.reserve', 'full');
    expect(rowOf([good], 'AU-4')?.result).toBe('pass');
    expect(rowOf([good, unknown('health.retention', 'x', 'y')], 'AU-4')?.result).toBe('unknown');
    expect(rowOf([good, warn('health.disk', 'x', 'y')], 'AU-4')?.result).toBe('warn');
    expect(rowOf([good, warn('health.disk', 'x', 'y'), fail('health.disk', 'x', 'y')], 'AU-4')?.result).toBe(
      'fail',
    );
  });

  it('never takes a group about which nothing was seen for good', () => {
    expect(reportRows([]).map(({ result }) => result)).toEqual(MAPPING.map(() => 'unknown'));
  });

  it('names only checks that doctor makes', () => {
    const code = readSources(['daemon'])
      .filter(({ path }) => path.startsWith('daemon/commands/doctor'))
      .map((source) => source.code)
      .join('\n');
    const made = (id: string): boolean => {
      if (id.startsWith('health.')) return code.includes(`${id.slice('health.'.length)}: '`);
      const start = id.endsWith('.') ? id : `${id.slice(0, id.indexOf('.') + 1)}`;
      return code.includes(`'${id}`) || code.includes(`\`${start}`);
    };
    const ids = MAPPING.flatMap(({ checks }) => checks);
    expect(ids.filter((id) => !made(id))).toEqual([]);
    expect(made('nothing.such')).toBe(false);
  });

  it('certifies nothing, and says so', () => {
    for (const text of [htmlReport(head, []), textReport(head, [])])
      expect(text.replace(/\s+/g, ' ')).toContain('It is not a certification');
  });

  it('shows what was found and what to do, and escapes what others wrote', () => {
    const evil = fail('tools.production', '<script>alert(1)</script>', 'remove \u001b[2J it');
    const page = htmlReport(head, [evil]);
    expect(page).not.toContain('<script>');
    expect(page).toContain('&lt;script&gt;');
    const text = textReport(head, [evil]);
    expect(text).not.toContain('\u001b');
    expect(text).toContain('tools.production (fail)');
    expect(text.split('\n').every((line) => line.length <= 92)).toBe(true);
  });
});
