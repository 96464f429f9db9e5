import { NOTHING, type Notices, OBSERVERS, type Observer } from './evidence-observers.ts';
import type { Loot, Moment, Year } from './evidence-world.ts';

/* How an attack on what was recorded is written down, and the table that docs/threat-model.md shows. */

export interface Attack {
  what: string;
  /** Of which moment the site is that is attacked, and its second copy; absent: now. */
  from?: Moment;
  second?: Moment;
  tamper(loot: Loot, year: Year): void | Promise<void>;
  notices: Notices;
}

/** Those who notice; nobody else does. */
export function noticed(by: Partial<Notices>): Notices {
  const nobody = Object.fromEntries(OBSERVERS.map((observer) => [observer, NOTHING])) as Notices;
  return { ...nobody, ...by };
}

const HEADINGS: Readonly<Record<Observer, string>> = {
  start: 'daemon at start',
  background: 'check in the background',
  verify: '`ledger verify`',
  copy: 'second copy',
  auditor: 'auditor',
  anchor: '… with one anchor',
  witness: 'witness',
  headquarters: 'headquarters',
};

/** Whether nothing at the site and no trust file tells, but what left the site does. */
export function isSeenOutsideOnly({ notices }: Attack): boolean {
  const inside = (['start', 'background', 'verify', 'auditor'] as const).every(
    (one) => notices[one] === NOTHING,
  );
  return inside && notices.anchor !== NOTHING;
}

/** As Markdown. */
export function tableOf(attacks: readonly Attack[]): string {
  const lines = attacks.map((attack) => {
    const cells = OBSERVERS.map((observer) => attack.notices[observer]);
    return [`${attack.what}${isSeenOutsideOnly(attack) ? ' †' : ''}`, ...cells];
  });
  const rows = [
    ['he …', ...OBSERVERS.map((one) => HEADINGS[one])],
    OBSERVERS.map(() => '---').concat('---'),
    ...lines,
  ];
  return rows.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}
