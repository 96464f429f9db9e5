import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { formatConfig, parseConfig } from '../../daemon/host/config.ts';
import type { Profile } from '../../daemon/host/site.ts';

const parse = (profile: Profile, settings: object) =>
  parseConfig(
    JSON.stringify({ version: 1, site: 'outpost-7.example', profile, ...settings }),
    'holdfast.json',
  );

const WEAK = [
  ['/anchors/schedule', { anchors: { schedule: null } }],
  ['/watch/canary', { watch: { canary: null } }],
  ['/watch/heartbeat', { watch: { heartbeat: '25h' } }],
  ['/integrity/schedule', { integrity: { schedule: null } }],
  ['/keys/ledger_max_age', { keys: { ledger_max_age: null } }],
  ['/disk/reserve_bytes', { disk: { reserve_bytes: 1_000_000 } }],
  ['/disk/low_bytes', { disk: { low_bytes: 1_000_000 } }],
  ['/peers/tls', { peers: { tls: false } }],
  ['/peers/require_identity', { peers: { require_identity: false } }],
] as const;

describe('an appliance', () => {
  it.each(WEAK)('is refused with a weaker %s, and told why', (pointer, settings) => {
    let refusal: unknown;
    try {
      parse('appliance', settings);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(BoundaryError);
    expect(refusal).toMatchObject({ at: pointer });
    expect(String(refusal)).toContain('Nothing was started.');
    // What a server decides for itself.
    expect(parse('node', settings).profile).toBe('node');
  });

  it('is well with what init writes, and with settings that demand more', () => {
    const written = formatConfig({ site: 'outpost-7.example', profile: 'appliance', operatorActor: null });
    expect(parseConfig(written, 'x').peers).toMatchObject({ tls: true, require_identity: true });
    expect(
      parse('appliance', { watch: { heartbeat: '24h' }, anchors: { schedule: '0 * * * *' } }).profile,
    ).toBe('appliance');
  });
});
