import { readdirSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import type { CarriedAlong } from '../../core/anchor-report.ts';
import { openInlineEngine } from '../../engine/inline.ts';
import { internal, textOf } from '../../engine/protocol.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { makeDir, syncDir, writeDurable } from '../../host/durable-file.ts';
import { lockWriter } from '../../ledger/writer-lock.ts';
import { carryAnchors } from '../../policy/anchor-medium.ts';
import { actorForRecord, openSite, type Site, type SiteOptions } from '../access.ts';
import { ownLogTrust, trustOf } from '../own-trust.ts';
import { print, printJson, say } from '../render/output.ts';
import { count, paint, plain } from '../render/text.ts';
import { trustBytes } from '../trust.ts';
import { destroyFiles, secretFiles } from './keys.ts';

interface ResetOptions extends SiteOptions {
  destroyKeys?: boolean;
  erase?: boolean;
  confirm?: string;
  out?: string;
  withoutRecord?: boolean;
  actor?: string;
  reason?: string;
}

const HELP = `
The end of a site. First the ledger says so, and its last anchors and its trust file are written to DIR, so that nobody can add
to its history unnoticed; then every key is overwritten and removed. There is no way back: sensitive values can be read by nobody
any more, and the site can be made anew only with other keys. The ledger stays and can be verified, unless --erase takes everything.

On flash memory old cells may survive an overwrite: what makes it certain is that the keys were wrapped (docs/operate/secrets.md),
or that the volume is encrypted. Destroy those keys too.

Where the ledger cannot be written, or where there is no time, --without-record leaves the first half out.

Example:
  holdfast site reset --destroy-keys -o /media/stick --confirm outpost-7.example

Exit codes: 0 done · 2 something is not as it must be: nothing was destroyed · 5 the ledger cannot be written`;

/** `site reset`: destroys the keys of a site for good. */
export function resetCommand(): Command {
  return new Command('reset')
    .description("Destroy this site's keys for good, after its last word has left.")
    .option('--destroy-keys', 'say that this is what you want')
    .option('--erase', 'remove everything else of the site too, its ledger included')
    .option('--confirm <site>', 'the name of the site, instead of typing it when asked')
    .option('-o, --out <dir>', 'where its last anchors and its trust file go')
    .option('--without-record', 'destroy at once, without an entry and without anchors')
    .option('--actor <id>', 'who does it, for the record')
    .option('--reason <text>', 'why, for the record')
    .addHelpText('after', HELP)
    .action(runReset);
}

async function runReset(options: ResetOptions): Promise<void> {
  assertMeant(options);
  const site = openSite(options);
  const { paths, config } = site;
  await assertStopped(site);
  const files = secretFiles(paths);
  await confirm(config.site, files.length, options);
  const left = options.withoutRecord === true ? null : await lastWord(site, options);
  // The point of no return: from here on keys are missing.
  const lock = lockWriter(paths.ledger);
  try {
    destroyFiles(files);
  } finally {
    lock.release();
  }
  if (options.erase === true) erase(paths.root);
  if (options.json) printJson({ site: config.site, destroyed: files, erased: options.erase === true, left });
  else print(words(site, files.length, left, options));
}

function assertMeant({ destroyKeys, out, withoutRecord, reason = '' }: ResetOptions): void {
  if (destroyKeys !== true)
    throw new BoundaryError(
      'reset.unsaid',
      'A reset destroys the keys of this site for good. Say that you mean it with --destroy-keys; nothing was done.',
      { at: '--destroy-keys' },
    );
  if (reason.length > 500)
    throw new BoundaryError('reset.reason', 'Write --reason in at most 500 characters; nothing was done.');
  if ((out === undefined) === (withoutRecord !== true))
    throw new BoundaryError(
      'reset.out',
      'Say where the last anchors of this site go, with -o DIR, on a medium that leaves it; or leave them out with --without-record. Nothing was done.',
      { at: '--out' },
    );
}

/** Neither role may run: the one would go on signing, the other running tools, with what is in memory. */
async function assertStopped({ paths }: Site): Promise<void> {
  for (const [socket, role] of [
    ['operator', 'daemon'],
    ['gateway', 'gateway'],
  ] as const) {
    if (!(await listens(join(paths.run, `${socket}.sock`)))) continue;
    throw new BoundaryError(
      'reset.running',
      `The ${role} runs; nothing was done. Stop it first (systemctl stop holdfast.target), then repeat.`,
    );
  }
  lockWriter(paths.ledger).release();
}

/** Whether somebody is behind a socket. Asks nothing: after half a reset there is no certificate left to ask with. */
function listens(path: string): Promise<boolean> {
  return new Promise((answer) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      answer(true);
    });
    socket.once('error', () => answer(false));
  });
}

async function confirm(site: string, keys: number, { confirm: typed, erase }: ResetOptions): Promise<void> {
  const wrong = new BoundaryError(
    'reset.unconfirmed',
    `That is not the name of this site; nothing was done. Type it in full, or give --confirm ${site}`,
    { at: '--confirm' },
  );
  if (typed !== undefined) {
    if (typed !== site) throw wrong;
    return;
  }
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) throw wrong;
  say(
    `${count(keys, 'key file')} of ${plain(site)} will be destroyed for good${erase === true ? ', and everything else of the site with them' : ''}.`,
  );
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question('Type the name of the site to go on: ').finally(() => prompt.close());
  if (answer.trim() !== site) throw wrong;
}

/** The entry that says so, then anchors over it and the trust file on the medium. Throws when any of it failed. */
async function lastWord(
  site: Site,
  options: ResetOptions,
): Promise<{ record_id: number; anchors: CarriedAlong; trust: string }> {
  const { paths, config } = site;
  const out = resolve(options.out ?? '');
  makeDir(out, 0o755);
  const who = actorForRecord(options.actor, site);
  const engine = await openInlineEngine(paths.root);
  try {
    const body = JSON.stringify({ actor: who, reason: options.reason ?? null });
    const answer = await engine.call(internal('system.retired', body));
    const said = textOf(answer);
    if (answer.status !== 200) throw notRecorded(said);
    const { record_id } = JSON.parse(said) as { record_id: number };
    const { origin, vkeys } = ownLogTrust(site);
    const anchors = await carryAnchors({
      engine,
      site: config.site,
      path: out,
      who,
      trust: () => ({ origin, vkeys }),
    });
    if (anchors.failure !== null || anchors.size === null)
      throw new BoundaryError(
        'reset.not_carried',
        `The last anchors could not be written to ${out}: ${anchors.failure ?? 'the medium knows another history'}. No key was destroyed; the ledger says that it was about to be. Repeat with another medium.`,
        { at: out },
      );
    const trust = join(out, `${config.site.replaceAll('/', '_')}.trust`);
    writeDurable(trust, trustBytes(trustOf(site)), 0o644);
    return { record_id, anchors, trust };
  } finally {
    await engine.stop('site retired');
  }
}

function notRecorded(said: string): BoundaryError {
  return new BoundaryError(
    'reset.not_recorded',
    `The ledger could not be written (${plain(said).slice(0, 200)}); nothing was destroyed. Repair it, or repeat with --without-record.`,
  );
}

/** What is left of the site: an empty directory that another one can be made in. */
function erase(root: string): void {
  for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true, force: true });
  syncDir(root);
}

function words(
  { config, paths }: Site,
  keys: number,
  left: { record_id: number; anchors: CarriedAlong; trust: string } | null,
  { erase: erased }: ResetOptions,
): string {
  const lines = [
    `${paint('bold', 'DESTROYED')}  ${count(keys, 'key file')} of ${plain(config.site)}: nobody can sign in its name any more.`,
    left === null
      ? 'Nothing says so in its ledger; tell headquarters.'
      : `Its ledger says so in entry ${left.record_id}. Bring to headquarters: ${plain(left.anchors.directory ?? '')} and ${plain(left.trust)}`,
    erased === true
      ? `${paths.root} is empty.`
      : `Its ledger stays, and anybody can verify it: holdfast ledger verify --dir ${paths.root}`,
    'If the keys were wrapped, destroy the key-encryption key too.',
  ];
  return lines.join('\n');
}
