import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseLimit, type SiteOptions } from './access.ts';
import { withRootOption } from './countersignature.ts';
import {
  type EntrySource,
  type IndexedEntry,
  openEntries,
  openForProof,
  openRawEntry,
} from './entry-source.ts';
import { assertType } from './entry-type.ts';
import { holdCommand, releaseCommand } from './ledger-hold.ts';
import { archiveCommand, pruneCommand } from './ledger-prune.ts';
import { searchCommand } from './ledger-search.ts';
import { tailCommand } from './ledger-tail.ts';
import { assertFree, writeNew } from './new-file.ts';
import { type ReadOptions, withReason } from './recorded-read.ts';
import { renderEntries, renderEntry } from './render/entry.ts';
import { print, printJson } from './render/output.ts';

/** `holdfast ledger …`: read the ledger, prove what is in it, check all of it. */
export function ledgerCommand(): Command {
  return new Command('ledger')
    .description('Read the ledger, prove what is in it, check all of it.')
    .addCommand(verifyCommand())
    .addCommand(auditCommand())
    .addCommand(listCommand())
    .addCommand(searchCommand())
    .addCommand(tailCommand())
    .addCommand(showCommand())
    .addCommand(proveCommand())
    .addCommand(exportCommand())
    .addCommand(pruneCommand())
    .addCommand(archiveCommand())
    .addCommand(holdCommand())
    .addCommand(releaseCommand())
    .addCommand(rebuildCommand());
}

const VERIFY_HELP = `
Examples:
  holdfast ledger verify                                       this site, also while the daemon runs
  holdfast ledger verify --ledger copy.sqlite --trust site-trust.json      a copied file, anywhere
  holdfast ledger verify --tiles DIR --trust site-trust.json               a tile directory, anywhere

Reads every entry, recomputes the tree, and checks every signed checkpoint, chain and table against it. Writes nothing.
Exit codes: 0 intact · 10 tampered · 11 torn tail after a crash, nothing acknowledged is missing
  12 intact, newest entries not yet under a checkpoint · 13 unknown key · 14 rolled back or truncated`;

function verifyCommand(): Command {
  return withRootOption(new Command('verify'))
    .description('Check every entry, proof and checkpoint.')
    .option('--ledger <file>', 'a copied ledger file (default: the site’s)')
    .option('--tiles <dir>', 'a tile directory: an export, a second copy, an opened backup')
    .option('--head <file>', 'a copied head store (default: the site’s, when its ledger is checked)')
    .option('--archive <dir>', 'where archive files lie (default: archive/ beside the ledger)')
    .option('--trust <file>', 'trust file written by `site export-trust` (default: the site’s keys)')
    .addHelpText('after', VERIFY_HELP)
    .action(async (options) => {
      const { verifyAndReport } = await import('./ledger-verify.ts');
      await verifyAndReport(options);
    });
}

const AUDIT_HELP = `
Examples:
  holdfast ledger audit                                        this site, also while the daemon runs
  holdfast ledger audit --since 7d                             what was over before then is left out
  holdfast ledger audit --ledger copy.sqlite --trust site-trust.json       a copied file, anywhere

Lists permits never redeemed, redeemed without an outcome, unknown outcomes, break-glass without a review, halts, runs
without an end and gaps between heartbeats. Verifies first: what a tampered ledger lacks means nothing.
Exit codes: 0 nothing is open · 4 something waits for somebody or is missing · 10 to 14 it does not verify`;

function auditCommand(): Command {
  return withRootOption(new Command('audit'))
    .description('What a complete record would have and this one has not.')
    .option('--ledger <file>', 'a copied ledger file (default: the site’s)')
    .option('--head <file>', 'a copied head store (default: the site’s, when its ledger is read)')
    .option('--trust <file>', 'trust file written by `site export-trust` (default: the site’s keys)')
    .option('--since <when>', '7d, 24h or an instant')
    .addHelpText('after', AUDIT_HELP)
    .action(async (options) => {
      const { auditAndReport } = await import('./ledger-audit.ts');
      await auditAndReport(options);
    });
}

interface ListOptions extends SiteOptions {
  from?: string;
  limit: string;
  type?: string;
  stream?: string;
}

function listCommand(): Command {
  return new Command('list')
    .description('Entries in order; the newest ones unless told where to start.')
    .option('--from <index>', 'first index')
    .option('--limit <n>', 'at most so many', '20')
    .option('--type <type>', 'only this type, e.g. permit.redeemed')
    .option('--stream <stream>', 'only this stream: dec_…, policy or system')
    .action(async (options: ListOptions) => {
      const limit = parseLimit(options.limit);
      assertType(options.type);
      const source = await openEntries(options);
      const found = await select(source, options, limit);
      source.close();
      if (options.json) for (const entry of found) printJson(entry);
      else print(renderEntries(found));
    });
}

const PAGE = 200;

/** Entries that match; walks forwards from `--from`, else backwards from the newest, until there are `limit`. */
async function select(source: EntrySource, options: ListOptions, limit: number): Promise<IndexedEntry[]> {
  const matches = ({ entry }: IndexedEntry): boolean =>
    (options.type === undefined || entry.type === options.type) &&
    (options.stream === undefined || entry.stream === options.stream);
  const found: IndexedEntry[] = [];
  const { size } = source;
  if (options.from !== undefined) {
    for (let from = parseIndex(options.from); from < size && found.length < limit; from += PAGE) {
      found.push(...(await source.read(from, PAGE)).filter(matches));
    }
    return found.slice(0, limit);
  }
  for (let end = size; end > 0 && found.length < limit; end -= PAGE) {
    const from = Math.max(0, end - PAGE);
    found.unshift(...(await source.read(from, end - from)).filter(matches));
  }
  return found.slice(-limit);
}

/** A log index: a canonical decimal. */
function parseIndex(text: string): number {
  if (/^(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  throw new BoundaryError(
    'index.malformed',
    'An index is a whole number, 0 for the first entry; nothing was read.',
  );
}

function showCommand(): Command {
  return new Command('show')
    .description('One entry, whole.')
    .argument('<index>', 'position in the log')
    .option('--raw', 'with the values of its payload; the read is recorded')
    .option('--reason <text>', 'why; goes with --raw')
    .option('--breakglass <session>', 'read under an open break-glass session; goes with --raw')
    .option('--actor <id>', 'who reads, where the sockets do not know their callers; goes with --raw')
    .action(async (text: string, options: SiteOptions & ReadOptions & { raw?: boolean }) => {
      const index = parseIndex(text);
      const source = options.raw === true ? await openRawEntry(options, index) : await openEntries(options);
      const [found] = await source.read(index, 1);
      source.close();
      if (found === undefined || found.index !== index) throw noEntry(index, source.size);
      if (options.json) printJson(found);
      else print(renderEntry(found));
    });
}

function noEntry(index: number, size: number): BoundaryError {
  return new BoundaryError(
    'ledger.entry_not_found',
    `There is no entry ${index}: the ledger has ${size}, counted from 0.`,
  );
}

function proveCommand(): Command {
  return withReason(new Command('prove'))
    .description('Write the proof that an entry is in the ledger (C2SP tlog-proof, entry included).')
    .argument('<index>', 'position in the log')
    .requiredOption('-o, --out <file>', 'where to write it, e.g. entry.tlog-proof')
    .option('--cosigned', 'under the newest checkpoint that the witnesses of trust/tlog-policy cosigned')
    .action(
      async (text: string, options: SiteOptions & ReadOptions & { out: string; cosigned?: boolean }) => {
        const index = parseIndex(text);
        assertFree(options.out);
        const source = await openForProof(options, index);
        if (index >= source.size) throw noEntry(index, source.size);
        const proof = await source.prove(index, { cosigned: options.cosigned === true });
        source.close();
        writeNew(options.out, proof);
        if (options.json) printJson({ index, file: options.out });
        else print(`Wrote the proof of entry ${index} to ${options.out}.`);
      },
    );
}

function exportCommand(): Command {
  return withReason(new Command('export'))
    .description('Write the ledger as a plain C2SP tile directory that stock tools check.')
    .requiredOption('--tiles <dir>', 'directory; an earlier export there is brought up to date')
    .action(async (options: SiteOptions & ReadOptions & { tiles: string }) => {
      const { exportAndReport } = await import('./ledger-files.ts');
      await exportAndReport(options);
    });
}

function rebuildCommand(): Command {
  return new Command('rebuild')
    .description('Derive the tables of streams and decisions from the entries again. Stop the daemon first.')
    .action(async (options: SiteOptions) => {
      const { rebuildAndReport } = await import('./ledger-files.ts');
      rebuildAndReport(options);
    });
}
