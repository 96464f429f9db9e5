import { describe, expect, test } from 'vitest';
import { takeSockets } from '../../daemon/host/activation.ts';

const NAMES = ['request', 'redeem', 'operator'] as const;
const PID = 4711;

function environ(names: string, count = names.split(':').length, pid = PID): Record<string, string> {
  return { LISTEN_PID: String(pid), LISTEN_FDS: String(count), LISTEN_FDNAMES: names, PATH: '/bin' };
}

const code = (environment: Record<string, string>): string | null => {
  try {
    takeSockets(NAMES, environment, PID);
    return null;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('sockets of a service manager', () => {
  test('are told apart by their names, whatever their order', () => {
    const environment = environ('operator:request');
    expect([...takeSockets(NAMES, environment, PID)]).toEqual([
      ['operator', 3],
      ['request', 4],
    ]);
    expect(environment).toEqual({ PATH: '/bin' });
  });

  test('are none without its word, and none that are meant for another process', () => {
    expect(takeSockets(NAMES, {}, PID).size).toBe(0);
    expect(takeSockets(NAMES, environ('request', 1, PID + 1), PID).size).toBe(0);
    expect(takeSockets(NAMES, { LISTEN_PID: String(PID), LISTEN_FDS: '0' }, PID).size).toBe(0);
  });

  test.each([
    ['activation.unknown_name', environ('request:gateway')],
    ['activation.unknown_name', environ('request', 2)],
    ['activation.unknown_name', { LISTEN_PID: String(PID), LISTEN_FDS: '1' }],
    ['activation.twice', environ('request:request')],
    ['activation.malformed', { ...environ('request'), LISTEN_FDS: '1e1' }],
    ['activation.malformed', { ...environ('request'), LISTEN_FDS: '-1' }],
    ['activation.malformed', { ...environ('request'), LISTEN_FDS: '99' }],
  ])('that do not fit are refused: %s', (expected, environment) => {
    expect(code(environment)).toBe(expected);
  });
});
