import type { BreakglassSession, GrantRecord } from '../../api/client.ts';
import { anyOf } from '../../core/authority.ts';
import { placeWords } from '../../core/breakglass.ts';
import type { SessionEnd } from '../../core/breakglass-session.ts';
import { fitted, folded, instant, moment, paint, plain, type Style } from './text.ts';

const STATES: Record<BreakglassSession['state'], [string, Style]> = {
  active: ['GLASS BROKEN', 'red'],
  ended: ['ENDED, NOT REVIEWED', 'yellow'],
  overdue: ['REVIEW OVERDUE', 'red'],
  closed: ['REVIEWED', 'green'],
};

const ENDS: Record<SessionEnd, string> = {
  by_hand: 'by hand',
  time: 'its time was up',
  time_uncertain: 'the clock could not be believed after a restart',
  key_revoked: 'the key that opened it was revoked',
  policy: 'the policy no longer covers it',
};

/** One session on a screen: what it lets through, by whose word, until when, what is to be done about it. */
export function renderSession(session: BreakglassSession): string {
  const { scope, ended, reviewed, grant } = session;
  const [word, style] = STATES[session.state];
  return [
    `${paint(style, paint('bold', word))}  ${plain(placeWords(scope))}`,
    fitted([
      ['session', session.id],
      ['who may ask', plain(scope.actor ?? 'whoever the policy lets ask for the class')],
      ['opened by', plain(`${session.principal} as ${session.role}, ${moment(session.activated_at)}`)],
      ['with', grant === null ? '' : plain(`sealed grant ${grant.id}, used by ${grant.redeemed_by}`)],
      ['because', plain(session.because)],
      ...Object.entries(scope.reason).map(([field, text]) => [field, plain(text)] as const),
      ['until', ended === null ? instant(session.expires_at) : ''],
      ['ended', ended === null ? '' : endLine(ended)],
      ['asked under it', decisionLines(session)],
      ['read under it', readLines(session)],
      ['review', reviewLine(session)],
      ['found', reviewed === null ? '' : plain(reviewed.note)],
      ['recorded', session.ledger === undefined ? '' : `ledger entry ${session.ledger.record_id}`],
      ['next', nextStep(session)],
    ]),
  ].join('\n');
}

function decisionLines({ decisions }: BreakglassSession): string {
  if (decisions === undefined) return '';
  return decisions.length === 0 ? 'nothing' : decisions.join('\n');
}

function readLines({ reads }: BreakglassSession): string {
  return reads
    .map(({ decision_id, by, at, reason }) =>
      plain(`${decision_id} by ${by ?? 'nobody known'}, ${moment(at)}: ${reason}`),
    )
    .join('\n');
}

function endLine({ at, why, by }: NonNullable<BreakglassSession['ended']>): string {
  return plain(`${moment(at)}, ${ENDS[why]}${by === null ? '' : ` (${by})`}`);
}

function reviewLine({ reviewed, review_due, review }: BreakglassSession): string {
  if (reviewed !== null) return plain(`by ${reviewed.principal}, ${moment(reviewed.at)}`);
  const who = plain(anyOf(review.roles));
  return review_due === null ? `by ${who}, once it is over` : `by ${who}, due ${instant(review_due)}`;
}

function nextStep({ state, id }: BreakglassSession): string {
  if (state === 'active') return `as soon as it is not needed: holdfast breakglass end ${id} --key KEY`;
  if (state === 'closed') return '';
  return `somebody else looks at it: holdfast breakglass review ${id} --note TEXT --key KEY`;
}

/** Sessions in short, oldest first. */
export function renderSessions(sessions: readonly BreakglassSession[]): string {
  return sessions
    .map((session) => {
      const [word, style] = STATES[session.state];
      const until = session.ended === null ? `until ${moment(session.expires_at)}` : endLine(session.ended);
      const due =
        session.review_due === null || session.state === 'closed'
          ? ''
          : `, review due ${moment(session.review_due)}`;
      return [
        `${paint(style, word)}  ${plain(placeWords(session.scope))}`,
        `  ${session.id}`,
        folded(`  by ${plain(session.principal)}, ${until}${due}`),
      ].join('\n');
    })
    .join('\n');
}

/** One grant: where it reaches, and what became of it. */
export function renderGrant({ id, state, grant, issued, closed_at, session }: GrantRecord): string {
  const style: Style = state === 'unused' ? 'yellow' : 'green';
  return [
    `${paint(style, paint('bold', state.toUpperCase()))}  ${plain(placeWords(grant))}`,
    fitted([
      ['grant', id],
      [
        'issued',
        plain(`by ${issued.by} as ${issued.role}, ${moment(issued.at)}${issued.here ? '' : ', elsewhere'}`),
      ],
      ['good until', state === 'unused' ? instant(grant.expires_at) : ''],
      [state, closed_at === null ? '' : moment(closed_at)],
      ['session', session ?? ''],
      [
        'next',
        state === 'unused'
          ? folded(`to take it back: holdfast breakglass revoke-grant ${id} --key KEY`, 60)
          : '',
      ],
    ]),
  ].join('\n');
}

/** Grants in short, oldest first. */
export function renderGrants(grants: readonly GrantRecord[]): string {
  return grants
    .map(({ id, state, grant, issued, session }) =>
      [
        `${paint(state === 'unused' ? 'yellow' : 'dim', state.toUpperCase())}  ${plain(placeWords(grant))}`,
        `  ${id}`,
        `  issued by ${plain(issued.by)}, good until ${moment(grant.expires_at)}`,
        ...(session === null ? [] : [`  opened ${session}`]),
      ].join('\n'),
    )
    .join('\n');
}
