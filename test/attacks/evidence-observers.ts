import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { anchorHead, formatAnchor, parseAnchor } from '../../daemon/formats/anchor.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { currentLog, keysOfLogs } from '../../daemon/formats/log-keys.ts';
import { readLineage } from '../../daemon/host/log-lineage.ts';
import { IntegrityChecker } from '../../daemon/ledger/integrity.ts';
import { readProgress } from '../../daemon/ledger/integrity-progress.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { copyRound } from '../../daemon/ledger/second-copy.ts';
import { type Loot, onDaemon, type Year } from './evidence-world.ts';

/* Who may notice that something was done to a site, each asked with the commands or the code that they really use. */

export const OBSERVERS = [
  'start',
  'background',
  'verify',
  'copy',
  'auditor',
  'anchor',
  'witness',
  'headquarters',
] as const;

export type Observer = (typeof OBSERVERS)[number];

/** What each of them says; NOTHING where they notice nothing. */
export type Notices = Record<Observer, string>;

export const NOTHING = '–';

export async function observe(year: Year, loot: Loot): Promise<Notices> {
  const ledger = ['--ledger', loot.paths.ledger, '--trust', year.kept('now.trust')];
  const code = async (...args: string[]) => codeWords((await year.world.holdfast(...args)).code);
  const background = backgroundCheck(loot);
  const [verify, auditor, anchor, headquarters, witness] = await Promise.all([
    code('ledger', 'verify', '--dir', loot.dir),
    code('ledger', 'verify', ...ledger),
    code('anchor', 'verify', year.newestAnchor(), ...ledger),
    code('anchor', 'verify', year.kept('receipts'), ...ledger),
    askWitness(year, loot),
  ]);
  const copy = await askCopy(year, loot);
  const start = await askToStart(loot);
  return { start, background, verify, copy, auditor, anchor, witness, headquarters };
}

function codeWords(code: number | null): string {
  return code === 0 ? NOTHING : String(code);
}

/** A daemon that will not open the ledger says which file, why, and what to do. */
async function askToStart(loot: Loot): Promise<string> {
  const { code, words } = await onDaemon(loot);
  if (code === null) return NOTHING;
  if (!/was not opened|is missing|is not a/.test(words))
    throw new Error(`the daemon ended otherwise: ${words}`);
  return `refuses (${code})`;
}

/** A pass of the daemon's background check, from where it says that it is. */
function backgroundCheck({ paths }: Loot): string {
  const trust = siteTrust(paths.trust);
  try {
    const checker = new IntegrityChecker(paths.ledger, join(paths.state, 'archive'), () => trust);
    try {
      let found = checker.frame().length;
      let next = readProgress(join(paths.state, 'integrity.json'), trust.origin)?.next ?? 0;
      for (;;) {
        const looked = checker.chunk(next - (next % 256));
        if (looked === null || looked.next <= next) break;
        found += looked.findings.length;
        next = looked.next;
      }
      return found === 0 ? NOTHING : 'halts the site';
    } finally {
      checker.close();
    }
  } catch (error) {
    if (error instanceof Error) return 'cannot look';
    throw error;
  }
}

function siteTrust(directory: string) {
  const logs = readLineage(directory);
  return { origin: currentLog(logs).origin, vkeys: keysOfLogs(logs) };
}

/** One round of copying, and the copy's own verification. */
async function askCopy(year: Year, { paths, second }: Loot): Promise<string> {
  const { state } = copyRound({ ledgerPath: paths.ledger, trustPath: paths.trust, directory: second });
  if (state === 'refused') return 'refuses';
  const ran = await year.world.holdfast(
    'ledger',
    'verify',
    '--tiles',
    second,
    '--trust',
    year.kept('now.trust'),
  );
  return codeWords(ran.code);
}

/** The site brings its newest tree head, with the best proof that its tree has for what the witness saw last. */
async function askWitness(year: Year, loot: Loot): Promise<string> {
  const anchor = nextAnchor(year, loot);
  if (anchor === null) return 'gets nothing';
  const dir = join(loot.dir, '..', 'w');
  mkdirSync(dir);
  cpSync(year.kept('w.sqlite'), join(dir, 'w.sqlite'));
  writeFileSync(join(dir, 'next.anchor'), anchor);
  const ran = await year.world.holdfast(
    ...[
      'anchor',
      'cosign',
      join(dir, 'next.anchor'),
      '--key',
      year.kept('w.key'),
      '--trust',
      year.kept('now.trust'),
    ],
    ...['--state', join(dir, 'w.sqlite'), '-o', join(dir, 'cosigned')],
  );
  return codeWords(ran.code);
}

/** Null where the site cannot open its own ledger any more. */
export function nextAnchor(year: Year, { paths }: Loot, from?: number): string | null {
  const seen = from ?? anchorHead(parseAnchor(readFileSync(year.newestAnchor()))).size;
  try {
    const view = viewLedger(paths.ledger, siteTrust(paths.trust));
    try {
      const { size } = view;
      const checkpoint = view.checkpoint();
      if (checkpoint === null) return null;
      const old = seen <= size ? seen : 0;
      return formatAnchor({ old, proof: old === 0 ? [] : view.consistencyProof(old, size), checkpoint });
    } finally {
      view.close();
    }
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
