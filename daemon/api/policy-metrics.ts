import { Gauge, type Registry } from '@prometheus-io/client';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';

interface Held {
  since: string;
  missing: string[];
  wait_until: string | null;
  effective_at: string | null;
  expires_at: string | null;
}

/** Says at `/metrics` whether an update waits to be put in force, since when, and when it is given up. */
export function measureHeld(registry: Registry, engine: EngineHandle): void {
  const gauge = (name: string, help: string, read: (held: Held | null) => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        this.set(read(await heldIn(engine)));
      },
    });
  gauge('holdfast_policy_held', '1 while an update waits to be put in force.', (held) =>
    held === null ? 0 : 1,
  );
  gauge(
    'holdfast_policy_held_unsigned',
    'Demands for signatures of the site that the waiting update has not met.',
    (held) => held?.missing.length ?? 0,
  );
  gauge(
    'holdfast_policy_held_since_seconds',
    'Since when the update waits; seconds since 1970, 0 when none does.',
    (held) => seconds(held?.since) ?? 0,
  );
  gauge(
    'holdfast_policy_held_until_seconds',
    'When the waiting update is given up; seconds since 1970, 0 when none waits or it has no end.',
    (held) => {
      const ends = [held?.missing.length === 0 ? null : held?.wait_until, held?.expires_at];
      const known = ends.flatMap((end) => seconds(end) ?? []);
      return known.length === 0 ? 0 : Math.min(...known);
    },
  );
}

function seconds(instant: string | null | undefined): number | null {
  return instant == null ? null : Date.parse(instant) / 1_000;
}

/** Null also where the engine cannot say. */
async function heldIn(engine: EngineHandle): Promise<Held | null> {
  try {
    const answer = await engine.call(internal('policy.held', null));
    return answer.status === 200 ? (JSON.parse(textOf(answer)) as { held: Held | null }).held : null;
  } catch {
    return null;
  }
}
