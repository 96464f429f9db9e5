import type { Bundle } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { retentionRule } from '../../core/retention.ts';
import type { Finding } from './finding.ts';

/** Times that cannot be meant: files that may go the moment they are made, values that outlast what they belong to. */
export function retentionFindings({ retention }: Bundle): Finding[] {
  if (retention === undefined) return [];
  const { archiveAfterMs, keepMs, envelopesMs } = retentionRule(retention);
  const findings: Finding[] = [];
  if (keepMs !== null && keepMs <= archiveAfterMs) {
    findings.push({
      severity: 'warning',
      check: 'retention.keep_too_short',
      pointer: pointerOf('retention', 'keep_entries_for'),
      found: 'archive files may be carried off the moment they are made',
      write_instead:
        'let keep_entries_for be longer than archive_after, or leave it out: then they stay for ever',
    });
  }
  if (keepMs !== null && envelopesMs !== null && envelopesMs > keepMs) {
    findings.push({
      severity: 'note',
      check: 'retention.envelopes_outlast',
      pointer: pointerOf('retention', 'envelopes_for'),
      found: 'sensitive values stay at the site for longer than the entries that they belong to',
      write_instead: 'leave it if that is meant, else let envelopes_for be no longer than keep_entries_for',
    });
  }
  return findings;
}
