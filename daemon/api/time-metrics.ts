import { Gauge, type Registry } from '@prometheus-io/client';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';

const TRUSTS = ['trusted', 'floor', 'uncertain'] as const;

interface TimeStatus {
  trust: string;
  since: string | null;
  floor: string;
}

/** Says at `/metrics` how far the clock is believed, since when it is not, and what it is at least. */
export function measureTime(registry: Registry, engine: EngineHandle): void {
  const registers = [registry];
  const trust = new Gauge({
    name: 'holdfast_time_trust',
    help: '1 for how far the clock is believed: trusted, floor (plausible) or uncertain; 0 for the others.',
    labelNames: ['trust'],
    registers,
    // The first of the three to be asked asks for all.
    async collect() {
      const time = await timeIn(engine);
      if (time === null) return;
      for (const label of TRUSTS) trust.set({ trust: label }, time.trust === label ? 1 : 0);
      since.set(time.since === null ? 0 : Date.parse(time.since) / 1_000);
      floor.set(Date.parse(time.floor) / 1_000);
    },
  });
  const since = new Gauge({
    name: 'holdfast_time_uncertain_since_seconds',
    help: 'Since when the clock is not believed, by the best that was known then; seconds since 1970, 0 while it is.',
    registers,
  });
  const floor = new Gauge({
    name: 'holdfast_time_floor_seconds',
    help: 'What time it is at least, whatever the clock says; seconds since 1970.',
    registers,
  });
}

/** Null where the engine cannot say. */
async function timeIn(engine: EngineHandle): Promise<TimeStatus | null> {
  try {
    const answer = await engine.call(internal('status.get', null));
    return answer.status === 200 ? (JSON.parse(textOf(answer)) as { time: TimeStatus }).time : null;
  } catch {
    return null;
  }
}
