import type { SignedAct } from '../../formats/signed-act.ts';
import type { EnvironmentChange, ShownHeld } from '../held-policy.ts';
import { fitted, folded, instant, moment, paint, plain, span } from './text.ts';

/** An update that waits: why, for whom, until when, and what it would change. */
export function renderHeld({ held, changes }: ShownHeld): string {
  const waits = held.missing.length > 0;
  return [
    `${paint('yellow', paint('bold', waits ? 'HELD' : 'SCHEDULED'))}  serial ${held.serial}, since ${instant(held.since)}`,
    fitted([
      ['update', held.id],
      ['from', plain(held.source)],
      ['by', plain(held.who ?? '')],
      ['needs', plain(held.missing.join('\n'))],
      [
        'signed',
        held.votes
          .map(({ principal, role, at }) => plain(`${principal} (${role}) at ${moment(at)}`))
          .join('\n'),
      ],
      ['for them', waits && held.wait_until !== null ? `until ${instant(held.wait_until)}` : ''],
      ['effect', held.effective_at === null ? '' : `at ${instant(held.effective_at)}, not before`],
      ['expires', held.expires_at === null ? '' : `${instant(held.expires_at)}; never in force after that`],
      ['would have', flipWords(held.flips)],
    ]),
    ...renderChanges(changes),
  ].join('\n');
}

/** Environments to which the same happens stand together. */
function renderChanges(all: readonly EnvironmentChange[]): string[] {
  const kinds = new Map<string, EnvironmentChange[]>();
  for (const one of all) {
    const key = JSON.stringify([one.from, one.to, one.changes]);
    kinds.set(key, [...(kinds.get(key) ?? []), one]);
  }
  return [...kinds.values()].flatMap((same) => {
    const [first] = same;
    if (first === undefined) return [];
    const { from, to, changes } = first;
    const names = plain(same.map(({ environment }) => environment).join(', '));
    if (from === to && changes.length === 0) return [`${names}: ${plain(from ?? 'nothing')}, as it is`];
    const head = `${paint('bold', names)}: ${plain(from ?? 'nothing')} → ${plain(to ?? 'nothing')}`;
    const lines = changes.length === 0 ? ['The rules stay the same.'] : changes;
    return [head, ...lines.map((line) => folded(`- ${plain(line)}`))];
  });
}

function flipWords(flips: ShownHeld['held']['flips']): string {
  if (flips === null || flips === undefined || flips.decisions === 0) return '';
  const kinds = Object.entries(flips.counts).filter(([, count]) => count > 0);
  const of = `of the last ${flips.decisions} decisions`;
  if (kinds.length === 0) return `changed none ${of}`;
  return `changed ${kinds.map(([kind, count]) => `${plain(kind)} ${count}`).join(', ')} ${of}`;
}

/** What a signature about the update says, in words, before it is made. */
export function renderRelease(
  act: SignedAct,
  shown: ShownHeld,
  signer: { principal: string | null; fingerprint: string | null },
): string {
  const verb = act.answer === 'approve' ? 'RELEASE' : 'REJECT';
  const owner = signer.principal === null ? '' : plain(` of ${signer.principal}`);
  return [
    renderHeld(shown),
    '',
    paint('bold', folded(`You sign that you, as ${plain(act.role)}, ${verb} this update.`)),
    fitted([['because', plain(act.reason)]]),
    paint('dim', '  bound by your signature:'),
    fitted([
      ['site', plain(act.site)],
      ['update', act.subject],
      ['content', act.subject_digest.site_target ?? ''],
      ['key', `${signer.fingerprint ?? 'told after signing'}${owner}`],
      ['valid', `${span(act.ttl_seconds * 1000)} from ${moment(act.issued_at)}`],
      ['nonce', act.nonce],
    ]),
  ]
    .filter((part) => part !== '')
    .join('\n');
}
