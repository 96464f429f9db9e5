import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeLineage } from '../../daemon/host/log-lineage.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { ORIGIN } from '../world.ts';
import { type Attack, noticed } from './evidence-table.ts';
import { type Loot, onDaemon } from './evidence-world.ts';
import { editEarly, keyOf, resign } from './tampering.ts';

/* Whole histories: put back, forked, signed anew. */

/** Under a key that nobody gave him, which the site's public files now name. */
export function signAsStranger(loot: Loot): void {
  const { paths } = loot;
  const file = join(paths.keys, 'ledger.key');
  rmSync(file);
  createSigningKey(file, ORIGIN);
  const forged = loadSigner(file);
  resign(loot, 0, forged);
  const lineage = [{ origin: ORIGIN, keys: [{ vkey: forged.vkey, from: 0, until: null }] }];
  writeLineage(paths.trust, lineage);
}

export const ON_HISTORY: readonly Attack[] = [
  {
    what: 'puts back the ledger of September, not the head store',
    tamper: ({ paths }, year) =>
      cpSync(join(year.kept('at-september/site/state/ledger.sqlite')), paths.ledger),
    notices: noticed({
      start: 'refuses (5)',
      verify: '14',
      copy: 'refuses',
      anchor: '14',
      witness: '14',
      headquarters: '14',
    }),
  },
  {
    what: 'puts back all of `state/` as of September: both databases',
    from: 'september',
    second: 'now',
    tamper: () => {},
    notices: noticed({ copy: 'refuses', anchor: '14', witness: '14', headquarters: '14' }),
  },
  {
    what: 'puts back everything as of September: both databases, outbox and second copy',
    from: 'september',
    tamper: () => {},
    notices: noticed({ anchor: '14', witness: '14', headquarters: '14' }),
  },
  {
    what: 'puts back `state/` as of a moment after the newest anchor',
    from: 'running',
    second: 'now',
    tamper: () => {},
    notices: noticed({ copy: 'refuses' }),
  },
  {
    what: 'the same, and the second copy with it',
    from: 'running',
    tamper: () => {},
    notices: noticed({}),
  },
  {
    what: 'puts back everything as of June, before the key was changed',
    from: 'june',
    tamper: () => {},
    notices: noticed({ copy: '14', auditor: '14', anchor: '14', witness: '14', headquarters: '14' }),
  },
  {
    what: 'puts back the head store of September, not the ledger',
    tamper: ({ paths }, year) => cpSync(year.kept('at-september/site/state/head.sqlite'), paths.head),
    notices: noticed({}),
  },
  {
    what: 'removes the head store',
    tamper: ({ paths }) => rmSync(paths.head),
    notices: noticed({ start: 'refuses (5)', verify: '10' }),
  },
  {
    what: 'swaps the two databases',
    tamper: ({ paths }) => {
      renameSync(paths.ledger, `${paths.ledger}.x`);
      renameSync(paths.head, paths.ledger);
      renameSync(`${paths.ledger}.x`, paths.head);
    },
    notices: noticed({
      start: 'refuses (5)',
      background: 'cannot look',
      verify: '10',
      auditor: '10',
      anchor: '10',
      witness: 'gets nothing',
      headquarters: '10',
    }),
  },
  {
    what: 'forks the ledger: from September on another autumn is recorded, with the current key',
    from: 'september',
    second: 'now',
    tamper: async (loot, year) => {
      await onDaemon(loot, (client) => year.deny(60, client));
    },
    notices: noticed({ copy: 'refuses', anchor: '10', witness: '10', headquarters: '10' }),
  },
  {
    what: 'signs the whole history anew with the current key, one word changed',
    tamper: (loot) => {
      const index = editEarly(loot);
      resign(loot, index, keyOf(loot));
    },
    notices: noticed({ copy: 'refuses', anchor: '10', witness: '10', headquarters: '10' }),
  },
  {
    what: 'the same, and begins the second copy anew',
    tamper: (loot) => {
      const index = editEarly(loot);
      resign(loot, index, keyOf(loot));
      for (const name of ['checkpoint', 'tile']) rmSync(join(loot.second, name), { recursive: true });
    },
    notices: noticed({ anchor: '10', witness: '10', headquarters: '10' }),
  },
  {
    what: 'signs the head anew with the stolen key of before June, one word changed',
    tamper: (loot, year) => {
      const index = editEarly(loot);
      const { paths } = year.loot('june');
      resign(loot, index, keyOf({ ...loot, paths }));
    },
    notices: noticed({
      start: 'refuses (5)',
      background: 'halts the site',
      verify: '13',
      auditor: '13',
      anchor: '13',
      witness: 'gets nothing',
      headquarters: '13',
    }),
  },
  {
    what: 'goes on from June with the key that was stolen before it was changed',
    from: 'june',
    tamper: async (loot, year) => {
      await onDaemon(loot, (client) => year.deny(300, client));
    },
    notices: noticed({ copy: '13', auditor: '13', anchor: '13', witness: '13', headquarters: '13' }),
  },
  {
    what: "signs with a key of his own and puts it into the site's public files",
    tamper: signAsStranger,
    notices: noticed({
      start: 'refuses (5)',
      copy: 'refuses',
      auditor: '13',
      anchor: '13',
      witness: '13',
      headquarters: '13',
    }),
  },
];
