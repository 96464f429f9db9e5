import { Gauge, type Registry } from '@prometheus-io/client';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';

type Link = { size: number; made_at: string } | null;

interface AnchorStatus {
  newest: Link;
  departed: Link;
  demanded: { environment: string; step: string }[];
}

const STEPS = ['fresh', 'warn', 'escalate', 'deny'];

/** Says at `/metrics` when the newest anchors were made, how far they reach, and how overdue the next one is. */
export function measureAnchors(registry: Registry, engine: EngineHandle): void {
  const registers = [registry];
  const made = new Gauge({
    name: 'holdfast_anchor_made_seconds',
    help: 'When the newest anchor was made, of all and of those known outside; seconds since 1970, 0 when there is none.',
    labelNames: ['of'],
    registers,
    // The first of the three to be asked asks for all.
    async collect() {
      const anchors = await anchorsIn(engine);
      if (anchors === null) return;
      for (const [of, link] of [
        ['made', anchors.newest],
        ['left', anchors.departed],
      ] as const) {
        made.set({ of }, link === null ? 0 : Date.parse(link.made_at) / 1_000);
        size.set({ of }, link?.size ?? 0);
      }
      overdue.reset();
      for (const { environment, step } of anchors.demanded) overdue.set({ environment }, STEPS.indexOf(step));
    },
  });
  const size = new Gauge({
    name: 'holdfast_anchor_size',
    help: 'Entries that the newest anchor covers, of all and of those known outside.',
    labelNames: ['of'],
    registers,
  });
  const overdue = new Gauge({
    name: 'holdfast_anchor_overdue',
    help: 'How overdue anchors are by the policy of an environment that demands them: 0 not, 1 warn, 2 escalate, 3 deny.',
    labelNames: ['environment'],
    registers,
  });
}

/** Null where the engine cannot say. */
async function anchorsIn(engine: EngineHandle): Promise<AnchorStatus | null> {
  try {
    const answer = await engine.call(internal('status.get', null));
    return answer.status === 200
      ? (JSON.parse(textOf(answer)) as { anchors: AnchorStatus | null }).anchors
      : null;
  } catch {
    return null;
  }
}
