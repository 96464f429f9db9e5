import { isoTime } from '../../core/create.ts';
import { exportAnchor } from '../anchors.ts';
import type { Batch } from '../context.ts';

const SYSTEM = { id: null, role: 'system' } as const;

/** Makes the anchor that the policies demand, if one is due. */
export function makeDueAnchor(batch: Batch): void {
  const { policies, projections, time, disk } = batch.state;
  // On the last of a disk none is worth its place.
  if (disk.level === 'critical' || !policies.anchoring.isDue(batch, time.floor())) return;
  exportAnchor(batch, 'policy', true);
  policies.anchoring.advance(batch, time.floor(), projections);
}

/** Records each step by which anchors became overdue, or ceased to be, once: `anchor.overdue`. */
export function recordOverdue(batch: Batch): void {
  const { policies } = batch.state;
  for (const { environment, step, previous, since } of policies.anchoring.unrecorded()) {
    batch.record('anchor', 'anchor.overdue', SYSTEM, {
      environment,
      step,
      previous,
      since: isoTime(since),
    });
    policies.anchoring.recorded(environment);
  }
}
