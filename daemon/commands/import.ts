import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import type { ApiClient, CarriedAlong } from '../api/client.ts';
import type { JsonObject } from '../formats/json.ts';
import { systemClock } from '../host/clock.ts';
import type { AcknowledgementReport } from '../policy/acknowledgements.ts';
import { type ImportResult, importUpdate, type LeftReceipt } from '../policy/import.ts';
import { PolicyStore } from '../policy/store.ts';
import { actorForRecord, actorOf, connect, openSite, type Site, type SiteOptions } from './access.ts';
import { renderTaken, takeDirectly, takeThroughDaemon } from './acknowledgements.ts';
import { carryDirectly, carryThroughDaemon, renderCarried } from './anchor-carry.ts';
import { cosignedExit, renderCosigned, takeCosigned } from './anchor-import.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson, say } from './render/output.ts';
import { paint, plain, rows } from './render/text.ts';

interface ImportOptions extends SiteOptions {
  actor?: string;
}

const HELP = `
PATH holds metadata/ and targets/ of a TUF repository. Every byte is verified against the pinned root; nothing else on
the medium is read. What is refused changes nothing and is recorded. Either way a signed receipt goes to the outbox and,
where the medium can be written, into receipts/ on it.
New anchors (tree heads by which a changed history shows) go into holdfast-anchors/ on the medium.
Where PATH holds cosignatures/ of witnesses, they are taken in (anchor import).
Where PATH holds acknowledgements/ from headquarters, alone or beside it, the files that they name leave the outbox.

Exit codes: 0 applied or unchanged · 3 refused · 4 accepted, waits for people of the site or for its date · 5 the daemon or its ledger is not available`;

/** `holdfast import`: a policy repository from a directory or medium, through the daemon, or directly while it is not running. */
export function importCommand(): Command {
  return new Command('import')
    .description('Bring in a signed policy repository from a directory or medium.')
    .argument('<path>', 'directory of the repository, of acknowledgements/ or of cosignatures/')
    .option('--actor <id>', 'who does it, for the record')
    .addHelpText('after', HELP)
    .action(async (path: string, options: ImportOptions) => {
      const brought = await bringIn(openSite(options), resolve(path), options);
      if (options.json) printJson(brought.document);
      else print(brought.text);
      endWith(brought.code);
    });
}

/** What became of everything that lay in a directory. */
export interface Brought {
  document: JsonObject;
  /** The same for people. */
  text: string;
  /** Exit code of the contract. */
  code: number;
  /** Null when there was no repository. */
  result: ImportResult | null;
}

/** Takes in what lies in `from`: a policy repository, acknowledgements, cosignatures; last, leaves anchors there. */
export async function bringIn(site: Site, from: string, options: { actor?: string }): Promise<Brought> {
  const answers = existsSync(join(from, 'acknowledgements'));
  const isCosigned = existsSync(join(from, 'cosignatures'));
  const isRepository = existsSync(join(from, 'metadata')) || !(answers || isCosigned);
  const result = isRepository ? await importUpdateFrom(site, from, options) : null;
  // After the update: it may bring the keys under which they are verified.
  const taken = answers ? await takeFrom(site, from) : null;
  const cosigned = isCosigned ? await takeCosigned(site, [join(from, 'cosignatures')]) : [];
  // Last: what happened just now goes home with the stick, too.
  const anchors = await carryAnchors(site, from, options);
  const document = {
    ...result,
    ...(taken === null ? {} : { acknowledgements: taken }),
    ...(cosigned.length === 0 ? {} : { cosigned }),
    ...(anchors === null ? {} : { anchors }),
  } as unknown as JsonObject;
  const said = [
    result === null ? null : render(result),
    taken === null ? null : renderTaken(taken),
    cosigned.length === 0 ? null : renderCosigned(cosigned),
    anchors === null ? null : renderCarried(anchors),
  ];
  const own = result === null ? EXIT.done : exitCode(result);
  const after = (taken?.refused_total ?? 0) > 0 ? EXIT.refused : cosignedExit(cosigned);
  const text = said.filter((one) => one !== null).join('\n');
  return { document, text, code: own === EXIT.done ? after : own, result };
}

async function importUpdateFrom(
  site: Site,
  path: string,
  options: { actor?: string },
): Promise<ImportResult> {
  const client = connect(site, 'operator');
  return (
    (await importThroughDaemon(client, path, actorForRecord(options.actor, site))) ??
    (await importDirectly(site, path, options))
  );
}

async function takeFrom(site: Site, path: string): Promise<AcknowledgementReport> {
  try {
    return await takeThroughDaemon(connect(site, 'operator'), path);
  } catch (error) {
    if (!isNotRunning(error)) throw error;
    return takeDirectly(site, path);
  }
}

async function carryAnchors(site: Site, path: string, { actor }: { actor?: string }) {
  try {
    return await carryThroughDaemon(site, path, actor);
  } catch (error) {
    if (!isNotRunning(error)) return carryFailed(error);
    return carryDirectly(site, path, actor);
  }
}

/** What was imported is on record by now: what could not be taken along changes nothing about it. */
function carryFailed(error: unknown): CarriedAlong {
  if (!(error instanceof Error) || !['ApiProblem', 'ApiUnreachable'].includes(error.name)) throw error;
  return { directory: null, written: [], size: null, failure: error.message, contradiction: null };
}

/** Null when no daemon is running: then its ledger is free to be opened here. */
async function importThroughDaemon(
  client: ApiClient,
  path: string,
  actor: string | null,
): Promise<ImportResult | null> {
  try {
    return (await client.importPolicy(path, { actor })) as unknown as ImportResult;
  } catch (error) {
    if (isNotRunning(error)) return null;
    const refused = refusalIn(error);
    if (refused === null) throw error;
    return refused;
  } finally {
    client.close();
  }
}

/** A refused update is an answer, not a failure; null for everything else. */
function refusalIn(error: unknown): ImportResult | null {
  if (!(error instanceof Error) || error.name !== 'ApiProblem' || !('body' in error)) return null;
  const { applied, code, detail, ...rest } = error.body as JsonObject;
  if (applied !== false) return null;
  const { record_id: recordId, receipt } = rest;
  return {
    applied,
    code: String(code),
    reason: String(detail),
    record_id: typeof recordId === 'number' ? recordId : null,
    ...(receipt === undefined ? {} : { receipt: receipt as LeftReceipt | null }),
  };
}

function isNotRunning(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== 'ApiUnreachable' || !('reason' in error)) return false;
  return error.reason === 'missing' || error.reason === 'refused';
}

async function importDirectly(site: Site, path: string, options: { actor?: string }): Promise<ImportResult> {
  say('The daemon is not running; importing directly.');
  const { openInlineEngine } = await import('../engine/inline.ts');
  const { ReceiptBook } = await import('../policy/receipts.ts');
  const { ledgerSigner } = await import('../engine/compose.ts');
  const engine = await openInlineEngine(site.paths.root);
  const { paths, config } = site;
  const signer = () => ledgerSigner(paths, config);
  try {
    return await importUpdate({
      path,
      paths,
      site: config.site,
      simulate: true,
      receipts: new ReceiptBook({ paths, site: config.site, profile: config.profile, engine, signer }),
      engine,
      store: new PolicyStore(site.paths.policy),
      clock: systemClock,
      who: actorOf(options.actor, site),
    });
  } finally {
    await engine.stop('import finished');
  }
}

function exitCode(result: ImportResult): number {
  if (result.applied) return EXIT.done;
  if (result.held === true) return EXIT.pending;
  return result.code.startsWith('ledger.') || result.code.startsWith('engine.')
    ? EXIT.unavailable
    : EXIT.refused;
}

function render(result: ImportResult): string {
  if (result.applied || result.held === true)
    return [...accepted(result), ...receiptLines(result)].join('\n');
  const refused = `${paint('red', paint('bold', 'REFUSED'))}  ${plain(result.reason)} [${result.code}]`;
  return [refused, ...receiptLines(result)].join('\n');
}

function accepted(result: Extract<ImportResult, { unchanged: boolean }>): string[] {
  const environments = Object.entries(result.environments).map(
    ([name, bundle]) => [name, `${bundle.name}@${bundle.version}  ${bundle.digest}`] as const,
  );
  if (result.applied) {
    const renewed =
      'What the site runs stays; it was signed anew, and nothing older is believed from now on.';
    const head = result.renewed === true ? 'RENEWED' : result.unchanged ? 'UNCHANGED' : 'APPLIED';
    return [
      `${paint('green', paint('bold', head))}  serial ${result.serial}`,
      rows(environments),
      ...(result.renewed === true ? [renewed] : []),
    ];
  }
  const head = result.code === 'policy.held' ? 'HELD' : 'SCHEDULED';
  return [
    `${paint('yellow', paint('bold', head))}  serial ${result.serial}, not in force yet`,
    rows(environments),
    plain(result.reason),
    `Look at it with "holdfast policy held"${result.hold.missing.length === 0 ? '' : `; release it with "holdfast policy release ${result.hold.id.slice(0, 12)} --key KEY"`}.`,
  ];
}

function receiptLines({ receipt }: ImportResult): string[] {
  if (receipt === undefined) return [];
  if (receipt === null)
    return ['No receipt could be written; it is made at the next import or start of the daemon.'];
  return [`Receipt: ${[receipt.file, receipt.medium].filter((path) => path !== null).join(', ')}`];
}
