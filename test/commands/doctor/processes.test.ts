import { expect, it } from 'vitest';
import type { Patient } from '../../../daemon/commands/doctor/check.ts';
import { checkProcesses } from '../../../daemon/commands/doctor/processes.ts';
import { parseConfig } from '../../../daemon/host/config.ts';
import { sitePaths } from '../../../daemon/host/site.ts';

const silent: Patient = {
  site: {
    paths: sitePaths('/nowhere'),
    config: parseConfig(JSON.stringify({ version: 1, site: 'outpost-7.example', profile: 'node' }), 'x'),
  },
  daemon: null,
  status: { daemon: null, gateway: null },
};

it('does not call down what this account may not ask, and does not let it pass either', () => {
  const [daemon, gateway] = checkProcesses({ ...silent, forbidden: ['daemon'] });
  expect(daemon).toMatchObject({ id: 'process.daemon', result: 'fail' });
  expect(daemon?.found).toContain('this account may not ask the daemon');
  expect(daemon?.fix).not.toContain('Start');
  expect(gateway).toMatchObject({ id: 'process.gateway', result: 'fail' });
  expect(gateway?.fix).toContain('Start it with');
});
