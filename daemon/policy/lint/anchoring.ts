import type { Bundle } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { durationMs } from '../../core/duration.ts';
import type { Finding } from './finding.ts';

/** Demands for anchors that a site cannot meet by itself, or only just. */
export function anchoringFindings({ anchoring, headquarters }: Bundle): Finding[] {
  if (anchoring === undefined) return [];
  const { counts = 'made', every, warn_after } = anchoring;
  const findings: Finding[] = [];
  if (counts === 'left' && headquarters === undefined) {
    findings.push({
      severity: 'warning',
      check: 'anchoring.nobody_acknowledges',
      pointer: pointerOf('anchoring', 'counts'),
      found:
        'anchors count only once they are known outside, and headquarters has no key to acknowledge with',
      write_instead:
        'name headquarters.acknowledgement_keys; until then only media and witnesses count, which somebody at the site must see to',
    });
  }
  if (counts === 'made' && every !== undefined && durationMs(every) === durationMs(warn_after)) {
    findings.push({
      severity: 'note',
      check: 'anchoring.no_slack',
      pointer: pointerOf('anchoring', 'every'),
      found: `anchors are made every ${every}, and people are warned after ${warn_after}`,
      write_instead: 'make them more often than the warning, or every one of them is late',
    });
  }
  return findings;
}
