import { afterEach, expect, test } from 'vitest';
import { completeReply } from '../../daemon/engine/complete.ts';
import { internal, textOf } from '../../daemon/engine/protocol.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

let site: EngineFixture;
afterEach(() => site.close());

/** Asks for so many and redeems them, each step in one batch. The ids of their permits. */
function redeemed(count: number, what: string, target: string, audience: string): string[] {
  const asked = Array.from({ length: count }, () =>
    internal('decisions.create', JSON.stringify(ask(what, target))),
  );
  const permits = site.engine
    .process(asked)
    .replies.map((draft) => (JSON.parse(textOf(completeReply(draft))) as { permit: JsonObject }).permit);
  const { replies } = site.engine.process(
    permits.map(({ id, action_digest }) => ({
      ...internal('permits.redeem', JSON.stringify({ audience, action_digest })),
      args: { id: String(id) },
    })),
  );
  expect(replies.every(({ status }) => status === 200)).toBe(true);
  return permits.map(({ id }) => String(id));
}

test('an audience finds its permits behind a thousand of others', () => {
  const bundle = testBundle();
  bundle.tools.pump = { connector: 'exec', argv: ['/bin/true'], audience: 'pump-house' };
  bundle.actions.read_pump = {
    description: 'Read the pump.',
    target: { type: 'pump', id_pattern: '[a-z]+' },
    base_risk: 0.1,
    tool: 'pump',
  };
  site = new EngineFixture(bundle);
  redeemed(1_001, 'read_pump', 'pump:one', 'pump-house');
  const mine = redeemed(3, 'read_telemetry', 'sensor:one', 'gateway');
  const open = (audience: string) =>
    site.call('permits.open', { args: { audience, state: 'redeemed' } }).body.permits as JsonObject[];
  expect(open('gateway').map(({ permit_id }) => permit_id)).toEqual(mine);
  expect(open('pump-house')).toHaveLength(1_000);
  expect(open('nobody')).toEqual([]);
});
