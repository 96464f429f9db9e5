import type { RoundReport } from '../../../sync/round.ts';
import { count, paint, plain } from './text.ts';

/** A round of sync in lines for people: what came, what the daemon made of it, what went out, what failed. */
export function renderRound({ mirror, imported, carried, witnessed, failures }: RoundReport): string {
  const lines = [
    mirror === null ? 'No whole mirror; what came is kept for the next round.' : `Mirror ${mirror.path}`,
    ...(mirror === null ? [] : [importLine(mirror, imported)]),
    ...(carried === null
      ? []
      : [`Outbox: ${carried.sent.length} sent, ${carried.acknowledged.length} acknowledgements came back`]),
    ...witnessed.flatMap(witnessLines),
    ...failures.map(({ code, message }) => `${paint('red', 'FAILED')}  ${plain(message)} [${code}]`),
  ];
  return lines.join('\n');
}

const WITNESSED = {
  cosigned: 'cosigned the newest anchor',
  waiting: 'waits for a proof from the daemon, or for the next round',
  nothing: 'was not asked: no anchor was ever exported here',
} as const;

/** Why one failed stands among the failures. */
function witnessLines({ url, outcome, size }: RoundReport['witnessed'][number]): string[] {
  if (outcome === 'failed') return [];
  const knows = size === null ? '' : `; it knows ${count(size, 'entry', 'entries')}`;
  return [`Witness ${plain(url)} ${WITNESSED[outcome]}${knows}`];
}

function importLine(mirror: NonNullable<RoundReport['mirror']>, imported: RoundReport['imported']): string {
  if (imported === null)
    return mirror.new
      ? `The daemon could not be asked; the mirror waits. Import it with: holdfast import ${mirror.path}`
      : 'The daemon judged these very files before; they were not offered again.';
  if (!imported.applied && imported.held === true)
    return `${paint('yellow', paint('bold', 'ACCEPTED'))}  not in force yet. ${plain(imported.reason)}`;
  if (!imported.applied)
    return `${paint('red', paint('bold', 'REFUSED'))}  ${plain(imported.reason)} [${imported.code}]`;
  return paint('green', imported.unchanged ? 'UNCHANGED' : 'APPLIED');
}
