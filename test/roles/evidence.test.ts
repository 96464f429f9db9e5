import { expect, test } from 'vitest';
import { refuse } from '../../daemon/core/refusal.ts';
import { completeReply } from '../../daemon/engine/complete.ts';
import type { EngineCall } from '../../daemon/engine/protocol.ts';
import { problem, reply } from '../../daemon/engine/reply.ts';
import { evidenceServices } from '../../daemon/roles/daemon-evidence.ts';

test('evidence that cannot be gathered after it was recorded is refused, with the ledger’s own word', async () => {
  const engine = {
    call: async ({ method }: EngineCall) =>
      completeReply(
        method === 'ledger.disclose'
          ? reply(200, { index: 7 })
          : problem(refuse('ledger.unavailable', 'The ledger cannot be written.')),
      ),
  };
  const services = evidenceServices({ engine } as unknown as Parameters<typeof evidenceServices>[0]);
  const body = { decision_id: 'dec_00000000-0000-7000-8000-000000000000', reason: 'audit' };
  const handler = services['evidence.export'];
  const asked = { body, peer: { socket: 'operator', uid: null } } as unknown as Parameters<
    NonNullable<typeof handler>
  >[0];
  expect(await handler?.(asked)).toMatchObject({ status: 503 });
});
