import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { firstStart, startWords } from '../../daemon/commands/start-words.ts';

const INSTALLED = fileURLToPath(import.meta.url);
const ABSENT = '/nonexistent/holdfast-daemon.service';

it('starts the roles of an installed site by their units, and never as whoever types', () => {
  expect(startWords(['daemon'], '/var/lib/holdfast', INSTALLED)).toBe('systemctl start holdfast-daemon');
  expect(startWords(['gateway'], '/var/lib/holdfast', INSTALLED)).toBe('systemctl start holdfast-gateway');
  expect(startWords(['daemon', 'gateway'], '/var/lib/holdfast', INSTALLED)).toBe(
    'systemctl start holdfast.target',
  );
  expect(firstStart(['daemon'], '/var/lib/holdfast', INSTALLED)).toEqual([
    'systemctl enable --now holdfast.target',
  ]);
});

it.each([
  ['/srv/site', INSTALLED],
  ['/var/lib/holdfast', ABSENT],
])('names the commands for a site in %s that no unit of the host runs', (dir, unit) => {
  expect(startWords(['daemon', 'gateway'], dir, unit)).toBe('holdfast daemon and holdfast gateway');
  expect(firstStart(['daemon', 'gateway'], dir, unit)).toEqual([
    `holdfast daemon --dir ${dir}`,
    `holdfast gateway --dir ${dir}`,
  ]);
});
