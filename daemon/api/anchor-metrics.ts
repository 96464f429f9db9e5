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
  const gauge = (
    name: string,
    help: string,
    label: string,
    read: (anchors: AnchorStatus) => [string, number][],
  ) =>
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      async collect() {
        const anchors = await anchorsIn(engine);
        if (anchors === null) return;
        this.reset();
        for (const [value, number] of read(anchors)) this.set({ [label]: value }, number);
      },
    });
  gauge(
    'holdfast_anchor_made_seconds',
    'When the newest anchor was made, of all and of those known outside; seconds since 1970, 0 when there is none.',
    'of',
    ({ newest, departed }) => [
      ['made', seconds(newest)],
      ['left', seconds(departed)],
    ],
  );
  gauge(
    'holdfast_anchor_size',
    'Entries that the newest anchor covers, of all and of those known outside.',
    'of',
    ({ newest, departed }) => [
      ['made', newest?.size ?? 0],
      ['left', departed?.size ?? 0],
    ],
  );
  gauge(
    'holdfast_anchor_overdue',
    'How overdue anchors are by the policy of an environment that demands them: 0 not, 1 warn, 2 escalate, 3 deny.',
    'environment',
    ({ demanded }) => demanded.map(({ environment, step }) => [environment, STEPS.indexOf(step)]),
  );
}

function seconds(link: Link): number {
  return link === null ? 0 : Date.parse(link.made_at) / 1_000;
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
