import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ApiUnreachable } from '../api/client.ts';
import { findMentions, type Mentions } from '../core/evidence-mentions.ts';
import { gatherEvidence } from '../core/evidence-scope.ts';
import { readArchive } from '../evidence/archive.ts';
import { composeEvidence, policyNeeded, unpackUpdate } from '../evidence/compose.ts';
import { verifyEvidence } from '../evidence/verify.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type EvidenceIndex, MEMBER, parseIndex } from '../formats/evidence.ts';
import { openDatabase } from '../ledger/database.ts';
import { viewLedger } from '../ledger/open.ts';
import type { LedgerView } from '../ledger/read.ts';
import { LEDGER_KIND } from '../ledger/schema.ts';
import { believedOrigin } from '../ledger/verify-keys.ts';
import { PolicyStore } from '../policy/store.ts';
import { actorForRecord, connect, openSite, type SiteOptions } from './access.ts';
import { believing } from './evidence-verify.ts';
import { endWith } from './exit.ts';
import { assertFree, writeNew } from './new-file.ts';
import { print, printJson, say } from './render/output.ts';
import { count, plain, rows } from './render/text.ts';
import { trustOf } from './site.ts';
import { logTrust, readSealedTrust } from './trust.ts';

interface ExportOptions extends SiteOptions {
  out: string;
  reason?: string;
  show?: string[];
  actor?: string;
  ledger?: string;
  trust?: string;
  policyStore?: string;
}

/** `holdfast evidence export`: through the daemon, or from copied files. */
export async function exportAndReport(id: string, options: ExportOptions): Promise<void> {
  assertFree(options.out);
  const bytes =
    options.ledger === undefined ? await throughDaemon(id, options) : await fromFiles(id, options);
  const members = await readArchive(bytes);
  const index = parseIndex(members.get(MEMBER.index) ?? new Uint8Array());
  // Payloads are in it: it is for whoever asked, and for whom they give it to.
  writeNew(options.out, bytes);
  if (options.json) printJson({ file: options.out, bytes: bytes.length, files: members.size, ...index });
  else print(render(options.out, index, members.size));
  const missing = (options.show ?? []).filter((field) => !index.fields.disclosed.includes(field));
  if (missing.length > 0)
    say(
      `Not shown: ${plain(missing.join(', '))}. The decision has no such sensitive value, or it is withheld or was destroyed.`,
    );
  await checkOwn(bytes, options);
}

/** Better here than in court: whether what was just written verifies by what this place believes itself. */
async function checkOwn(bytes: Uint8Array, options: ExportOptions): Promise<void> {
  const trust =
    options.trust === undefined ? trustOf(openSite(options)) : readSealedTrust(options.trust).trust;
  const { code, findings } = await verifyEvidence(bytes, { ...believing(trust), policy: null });
  if (code === 0) return;
  const [first] = findings;
  say(
    `It does not verify here, and would not elsewhere: ${plain(first?.file ?? '')}: ${plain(first?.message ?? '')} Look at all of it (holdfast evidence verify ${plain(options.out)}), and at the ledger (holdfast ledger verify).`,
  );
  endWith(code);
}

async function throughDaemon(id: string, options: ExportOptions): Promise<Uint8Array> {
  const { reason, show, trust, policyStore } = options;
  if (trust !== undefined || policyStore !== undefined)
    throw usage(
      '--trust and --policy-store belong to copied files: give --ledger FILE with them, or leave them out.',
    );
  if (reason === undefined)
    throw usage('Say why it is taken away (--reason TEXT): it is put on record before the file is made.');
  const site = openSite(options);
  const actor = actorForRecord(options.actor, site);
  try {
    return await connect(site, 'operator').evidence({
      decision_id: id,
      reason,
      ...(show === undefined ? {} : { show }),
      ...(actor === null ? {} : { actor }),
    });
  } catch (error) {
    if (error instanceof ApiUnreachable)
      say('Without a daemon, export from copied files: --ledger FILE --trust FILE --policy-store DIR.');
    throw error;
  }
}

/** From a copied ledger and policy store. There is no key to sign with, and no ledger to record it in. */
async function fromFiles(id: string, options: ExportOptions): Promise<Uint8Array> {
  const { ledger = '', trust: trustFile, policyStore, show, reason } = options;
  if (trustFile === undefined || policyStore === undefined)
    throw usage(
      'With --ledger give --trust FILE (from "holdfast site export-trust") and --policy-store DIR (a copy of state/policy).',
    );
  if (show !== undefined)
    throw usage(
      'Sensitive values are encrypted beside the ledger, and only the running daemon opens them: leave out --show.',
    );
  if (reason !== undefined)
    throw usage('Nothing is recorded when copied files are exported: leave out --reason.');
  assertThere(ledger);
  assertThere(join(policyStore, 'updates'));
  const { trust, bytes } = readSealedTrust(trustFile);
  const believed = logTrust(trust);
  const view = viewLedger(ledger, { ...believed, origin: originOfFile(ledger, believed) });
  try {
    const gathered = gatherEvidence(view, id, mentionsIn(view, id));
    if (gathered === null)
      throw new BoundaryError(
        'decision.not_found',
        `There is no decision ${id} in ${ledger}; nothing was written.`,
      );
    const needed = policyNeeded(gathered);
    const stored =
      needed === null
        ? null
        : new PolicyStore(policyStore).readUpdate(needed.digest, needed.update_id, needed.environment);
    const parts = {
      site: trust.site,
      gathered,
      update: unpackUpdate(stored),
      trust: bytes,
      shown: {},
      record: null,
    };
    return await composeEvidence(parts, null);
  } finally {
    view.close();
  }
}

/** A copied file may be of a log that ended with a restore. */
function originOfFile(path: string, trust: ReturnType<typeof logTrust>): string {
  const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
  try {
    return believedOrigin(database, trust);
  } finally {
    database.close();
  }
}

const PAGE = 2_048;

function mentionsIn(view: LedgerView, id: string): Omit<Mentions, 'next'> {
  const all: Omit<Mentions, 'next'> = { found: [], unsearched: 0 };
  let next = view.stream(id)[0]?.index ?? null;
  while (next !== null) {
    const page = findMentions(view, id, { from: next, limit: PAGE });
    all.found.push(...page.found);
    all.unsearched += page.unsearched;
    next = page.next;
  }
  return all;
}

function render(file: string, index: EvidenceIndex, files: number): string {
  const { entries, fields, export: record } = index;
  const own = entries.filter(({ role }) => role === 'decision').length;
  const fieldLine = (names: readonly string[]) => plain(names.join(', '));
  return [
    `Wrote ${plain(file)}: ${count(files, 'file')} about ${index.decision}.`,
    rows([
      [
        'entries',
        `${own} of the decision, ${entries.length - own} around it, of a log of ${index.tree_size}`,
      ],
      ['policy', index.policy === null ? 'none was in force' : index.policy.digest],
      ['shown', fieldLine(fields.disclosed)],
      ['withheld', fieldLine(fields.withheld)],
      ['shredded', fieldLine(fields.shredded)],
      [
        'unsearched',
        index.unsearched === 0 ? '' : `${index.unsearched} entries in archive files that are elsewhere`,
      ],
      ['left out', index.omitted === 0 ? '' : `${index.omitted} more entries that name it`],
      [
        'on record',
        record === null
          ? 'no: it was made of copied files, so the site has no record of this export, and it bears no signature of the site'
          : `entry ${record.record}, ${record.at}`,
      ],
    ]),
    `Check it anywhere: holdfast evidence verify ${plain(file)} --trust TRUST.json`,
  ].join('\n');
}

function assertThere(path: string): void {
  if (existsSync(path)) return;
  throw new BoundaryError('file.missing', `${path} does not exist; nothing was written.`, { at: path });
}

function usage(words: string): BoundaryError {
  return new BoundaryError('evidence.usage', `${words} Nothing was done.`);
}
