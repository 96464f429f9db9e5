import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Degraded } from '../engine/health/facts.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import { namesIn } from '../host/directory.ts';
import type { SitePaths } from '../host/site.ts';
import { archiveDir } from '../ledger/archive.ts';
import type { RetentionStanding, RoundReport } from '../policy/retention-round.ts';

/** What the ledger takes of the disk, in bytes. */
export interface Sizes {
  ledger: number;
  archive: number;
}

/** Bytes on the disk; the envelopes are in the ledger's file. */
export function sizesOf({ ledger }: SitePaths): Sizes {
  const directory = archiveDir(ledger);
  const files = namesIn(directory).map((name) => sizeOf(join(directory, name)));
  return {
    ledger: sizeOf(ledger) + sizeOf(`${ledger}-wal`),
    archive: files.reduce((sum, bytes) => sum + bytes, 0),
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** What `status` says of it. */
export function roomSummary(
  { rule, archived, reusable_bytes }: RetentionStanding,
  sizes: Sizes,
  { retention }: SiteConfig,
  last: { at: string; report: RoundReport } | null,
): JsonObject {
  return {
    schedule: retention.schedule,
    rule: rule !== null,
    ledger_bytes: sizes.ledger,
    reusable_bytes,
    archive_bytes: sizes.archive,
    max_disk_bytes: rule?.maxDiskBytes ?? null,
    archived,
    last:
      last === null
        ? null
        : { at: last.at, archived: last.report.archived.length, shredded: last.report.shredded },
  };
}

/** A round that could not do its work: nothing is lost by it, but the database grows. */
export function roundHealth(stopped: { at: string; why: string } | null): Degraded[] {
  if (stopped === null) return [];
  return [
    {
      component: 'retention',
      cause: `the last round stopped: ${stopped.why}`,
      since: stopped.at,
      effect: 'What is old enough stays in the database. Decisions do not depend on it.',
      instruction: 'Put right what it names, then: holdfast ledger prune',
    },
  ];
}

/** What is over the policy's bound is said, and never deleted for it. */
export function budgetHealth(
  { rule, archived, reusable_bytes }: RetentionStanding,
  sizes: Sizes,
): Degraded[] {
  const budget = rule?.maxDiskBytes ?? null;
  const taken = sizes.ledger + sizes.archive - reusable_bytes;
  if (budget === null || taken <= budget) return [];
  const carry =
    archived.segments > archived.carried
      ? 'Carry archive files off: copy state/archive to a medium and run holdfast ledger prune --carried DIRECTORY.'
      : 'See holdfast ledger prune --dry-run for what may move and what is held; only a policy can raise the bound (retention.max_disk).';
  return [
    {
      component: 'retention',
      cause: `ledger and archive take ${mib(taken)} of the disk; the policy allows ${mib(budget)}`,
      since: null,
      effect:
        'Nothing is deleted and everything is still decided. When the disk itself is full, nothing is allowed any more.',
      instruction: carry,
    },
  ];
}

function mib(bytes: number): string {
  return `${Math.ceil(bytes / 1_048_576)} MiB`;
}
