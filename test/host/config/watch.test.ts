import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../daemon/host/config.ts';

const MIB = 1_048_576;
const minimal = { version: 1, site: 'outpost-7.example', profile: 'node' };
const parse = (more: object) => parseConfig(JSON.stringify({ ...minimal, ...more }), 'holdfast.json');

describe('section disk', () => {
  it('keeps more of a site in service than of one to try things out', () => {
    expect(parse({}).disk).toEqual({ reserve_bytes: 64 * MIB, low_bytes: 128 * MIB });
    expect(parse({ profile: 'dev' }).disk).toEqual({ reserve_bytes: MIB / 2, low_bytes: MIB });
    expect(parse({ disk: { low_bytes: 5 } }).disk).toEqual({ reserve_bytes: 64 * MIB, low_bytes: 5 });
  });

  it.each([[{ reserve_bytes: 0 }], [{ low_bytes: -1 }], [{ reserve_bytes: '64M' }], [{ reserved: 1 }]])(
    'refuses %o',
    (disk) => {
      expect(() => parse({ disk })).toThrow(/\/disk\//);
    },
  );
});

describe('section watch', () => {
  it('tests the gateway by schedule, but for a dev site', () => {
    expect(parse({}).watch).toEqual({ heartbeatMs: 3_600_000, canary: '23 * * * *' });
    expect(parse({ profile: 'dev' }).watch.canary).toBeNull();
    expect(parse({ profile: 'dev', watch: { canary: '*/5 * * * *' } }).watch.canary).toBe('*/5 * * * *');
    expect(parse({ watch: { canary: null, heartbeat: '10m' } }).watch).toEqual({
      heartbeatMs: 600_000,
      canary: null,
    });
  });

  it.each([
    [{ heartbeat: '0m' }],
    [{ heartbeat: '1d' }],
    [{ heartbeat: 60 }],
    [{ canary: 'hourly' }],
    [{ canary: '* * * * * *' }],
    [{ canaries: '* * * * *' }],
  ])('refuses %o', (watch) => {
    expect(() => parse({ watch })).toThrow(/\/watch\//);
  });
});
