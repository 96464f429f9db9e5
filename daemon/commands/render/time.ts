import type { SiteTime } from '../../api/client.ts';
import { fitted, moment, paint, plain } from './text.ts';

const HEADS: Record<string, string> = {
  trusted: 'TRUSTED',
  floor: 'PLAUSIBLE',
  uncertain: 'UNCERTAIN',
};

const CAUSES: Record<string, string> = {
  boot: 'not behind anything on record, not set since the machine was started; vouched for by nobody',
  clock_set: 'set while it could not be believed; not behind anything on record, vouched for by nobody',
  clock_returned: 'back where it belongs after it was set wrong',
  kernel: 'the kernel calls it synchronized, and the policy believes that',
  statement: 'it agrees with what somebody who may state the time signed',
  cosignature: 'it agrees with a witness',
  policy: 'a newly signed policy explains where it was set to',
  behind_floor: 'it stands before a time that has certainly passed',
  jumped: 'somebody set it while the machine ran, and nothing says that this was right',
  contradicted: 'it is not what somebody who may state the time signed',
};

/** How far the clock can be believed, for people. */
export function renderTime(time: SiteTime): string {
  const { challenge, rules } = time;
  const who = rules === null ? 'nobody, by the policy in force' : rules.state_roles.join(', ');
  return [
    headOf(time),
    fitted([...factsOf(time), ['stated by', plain(who)], ['challenge', challenge ?? '']]),
  ].join('\n');
}

/** What became of a statement of the time. */
export function renderStated(time: SiteTime): string {
  const next =
    time.trust === 'uncertain' && !time.settling
      ? '\nThe statement is recorded. The clock does not agree with it: set it (as root: date -u -s "YYYY-MM-DD hh:mm:ss"); it is trusted as soon as it does.'
      : '';
  return `${headOf(time)}\n${fitted([...factsOf(time), ['recorded', `entry ${time.record_id ?? '?'}`]])}${next}`;
}

function headOf({ trust }: SiteTime): string {
  const style = trust === 'trusted' ? 'green' : trust === 'floor' ? 'cyan' : 'red';
  return paint(style, paint('bold', HEADS[trust] ?? plain(trust)));
}

function factsOf({ now, cause, settling, since, floor, expected, trust }: SiteTime): [string, string][] {
  const why = CAUSES[cause] ?? plain(cause);
  return [
    ['clock', `${moment(now)} on this machine`],
    [
      'because',
      settling ? 'it was wrong; it is right again, and believed once it has stayed so for some seconds' : why,
    ],
    ['since', moment(since)],
    ['at least', moment(floor)],
    ['would be', trust === 'uncertain' ? moment(expected) : ''],
  ];
}
