import type { BreakglassSession, GrantRecord } from '../../api/client.ts';
import { placeWords } from '../../core/breakglass.ts';
import type { SessionEnd } from '../../core/breakglass-session.ts';
import { fitted, folded, instant, moment, paint, plain, type Style, table } from './text.ts';

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
      ['review', reviewLine(session)],
      ['found', reviewed === null ? '' : plain(reviewed.note)],
      ['recorded', session.ledger === undefined ? '' : `ledger entry ${session.ledger.record_id}`],
      ['next', nextStep(session)],
    ]),
  ].join('\n');
}

function endLine({ at, why, by }: NonNullable<BreakglassSession['ended']>): string {
  return plain(`${moment(at)}, ${ENDS[why]}${by === null ? '' : ` (${by})`}`);
}

function reviewLine({ reviewed, review_due, review }: BreakglassSession): string {
  if (reviewed !== null) return plain(`by ${reviewed.principal}, ${moment(reviewed.at)}`);
  const who = plain(review.roles.join(' or '));
  return review_due === null ? `by ${who}, once it is over` : `by ${who}, due ${instant(review_due)}`;
}

function nextStep({ state, id }: BreakglassSession): string {
  if (state === 'active') return `as soon as it is not needed: holdfast breakglass end ${id} --key KEY`;
  if (state === 'closed') return '';
  return `somebody else looks at it: holdfast breakglass review ${id} --note TEXT --key KEY`;
}

/** Sessions, one line each. */
export function renderSessions(sessions: readonly BreakglassSession[]): string {
  return table(
    ['session', 'state', 'for', 'opened by', 'until', 'review due'],
    sessions.map((session) => [
      session.id,
      session.state,
      plain(placeWords(session.scope)),
      plain(session.principal),
      moment(session.ended?.at ?? session.expires_at),
      session.state === 'closed' ? 'done' : moment(session.review_due),
    ]),
  );
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

/** Grants, one line each. */
export function renderGrants(grants: readonly GrantRecord[]): string {
  return table(
    ['grant', 'state', 'for', 'issued by', 'good until', 'session'],
    grants.map(({ id, state, grant, issued, session }) => [
      id,
      state,
      plain(placeWords(grant)),
      plain(issued.by),
      moment(grant.expires_at),
      session ?? '-',
    ]),
  );
}
