import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openLedger } from '../../daemon/ledger/open.ts';
import { archive as archiveSegment, carry } from '../ledger/archive-world.ts';
import { ORIGIN } from '../world.ts';
import { type Attack, noticed } from './evidence-table.ts';
import type { Loot } from './evidence-world.ts';
import { editEarly, flip, keyOf, onLedger, textAt } from './tampering.ts';

/* What lies beside the entries: archive, values, copies, derived tables, positions, keys. */

function archiveFile({ paths }: Loot): string {
  const dir = join(paths.state, 'archive');
  return join(dir, readdirSync(dir).find((name) => name.endsWith('.zst')) ?? '');
}

/** As the writer, with the site's own key. */
function asWriter(loot: Loot, work: (ledger: ReturnType<typeof openLedger>) => void): void {
  const { paths } = loot;
  const ledger = openLedger({
    path: paths.ledger,
    headPath: paths.head,
    origin: ORIGIN,
    signer: keyOf(loot),
  });
  try {
    work(ledger);
  } finally {
    ledger.close();
  }
}

export const BESIDE: readonly Attack[] = [
  {
    what: 'changes a bit of an archive file',
    tamper: (loot) => flip(archiveFile(loot)),
    notices: noticed({
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      headquarters: '10',
    }),
  },
  {
    what: 'removes an archive file',
    tamper: (loot) => rmSync(archiveFile(loot)),
    notices: noticed({
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      headquarters: '10',
    }),
  },
  {
    what: 'removes entries and appends an unsigned record that they were carried off',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        const last =
          database.prepareColumn<number>("SELECT last_idx FROM streams WHERE stream = 'retention'").get() ??
          0;
        const forged = textAt(database, last)
          .replace('"first":0', '"first":256')
          .replace('"until":256', '"until":512');
        const next = database.prepareColumn<number>('SELECT max(idx) + 1 FROM entries').get() ?? 0;
        database
          .prepare('INSERT INTO entries (idx, prev_idx, bytes) VALUES (?, ?, ?)')
          .run(next, last, Buffer.from(forged, 'utf8'));
        database.prepare("UPDATE streams SET last_idx = ? WHERE stream = 'retention'").run(next);
        database.exec('DELETE FROM entries WHERE idx >= 256 AND idx < 512');
      }),
    notices: noticed({
      start: 'refuses (5)',
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      witness: 'gets nothing',
      headquarters: '10',
    }),
  },
  {
    what: 'removes entries and records, with the key, that they were archived and carried off',
    tamper: (loot) => {
      asWriter(loot, (ledger) => {
        archiveSegment(ledger, 256, 512);
        carry(ledger, 256);
      });
      rmSync(
        join(loot.paths.state, 'archive', readdirSync(join(loot.paths.state, 'archive')).sort().at(-1) ?? ''),
      );
    },
    notices: noticed({}),
  },
  {
    what: 'changes a sealed value',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        database.exec("UPDATE sealed SET bytes = CAST(bytes || x'00' AS BLOB)");
      }),
    notices: noticed({}),
  },
  {
    what: 'swaps the sealed values of two decisions',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        const [one, other] = database
          .prepareTuple<[string, Uint8Array]>('SELECT decision, bytes FROM sealed')
          .all();
        if (one === undefined || other === undefined) throw new Error('there are not two');
        const put = database.prepare('UPDATE sealed SET bytes = ? WHERE decision = ?');
        put.run(one[1], other[0]);
        put.run(other[1], one[0]);
      }),
    notices: noticed({}),
  },
  {
    what: 'edits a derived table: a denied decision is authorized',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        database.exec("UPDATE decisions SET status = 'authorized' WHERE status = 'denied'");
      }),
    notices: noticed({ verify: '10', auditor: '10' }),
  },
  {
    what: 'changes a bit of the second copy',
    tamper: ({ second }) => flip(join(second, 'tile/entries/001')),
    notices: noticed({ copy: '10' }),
  },
  {
    what: 'empties or forges the search index',
    tamper: ({ paths }) => {
      for (const end of ['', '-wal', '-shm'])
        rmSync(join(paths.state, `search.sqlite${end}`), { force: true });
      writeFileSync(join(paths.state, 'search.sqlite'), 'nothing here');
    },
    notices: noticed({}),
  },
  {
    what: 'edits an entry and sets the background check to its end',
    tamper: (loot) => {
      editEarly(loot);
      const at = new Date(0).toISOString();
      const progress = {
        v: 1,
        origin: ORIGIN,
        started_at: at,
        next: 10_000,
        size: 10_000,
        found: 0,
        done: true,
        last: null,
      };
      writeFileSync(join(loot.paths.state, 'integrity.json'), JSON.stringify(progress));
    },
    notices: noticed({ verify: '10', auditor: '10', anchor: '10', headquarters: '10' }),
  },
  {
    what: 'removes the anchors and receipts from the outbox',
    tamper: ({ paths }) => rmSync(paths.outbox, { recursive: true }),
    notices: noticed({}),
  },
  {
    what: 'puts the key of before June back',
    tamper: ({ paths }, year) =>
      cpSync(year.kept('at-june/site/state/keys/ledger.key'), join(paths.keys, 'ledger.key')),
    notices: noticed({ start: 'refuses (5)' }),
  },
];
